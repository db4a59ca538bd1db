"""The peak is of the program itself, not of whoever started it."""

import subprocess
import sys

from eyebright_common.memory import peak_resident_bytes

TELL = "from eyebright_common.memory import peak_resident_bytes; print(peak_resident_bytes())"


def test_a_small_child_of_a_large_parent_is_small():
    ballast = bytearray(400_000_000)
    ballast[::4096] = b"x" * len(ballast[::4096])
    child = int(subprocess.run([sys.executable, "-c", TELL], capture_output=True, check=True, text=True).stdout)
    assert peak_resident_bytes() > 400_000_000
    assert 1_000_000 < child < 100_000_000


def test_without_the_kernels_file_the_older_figure_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr("eyebright_common.memory._STATUS", tmp_path / "nothing")
    assert peak_resident_bytes() > 1_000_000
