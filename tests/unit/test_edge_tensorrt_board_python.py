"""The worker is written for the Python of the oldest board: 3.6, the standard library, NumPy and tensorrt."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from eyebright_edge.runtime.board import WORKER_MODULE, WORKER_PATH
from eyebright_edge.runtime.board.tensorrt_worker.frames import FAILURE, REQUEST, read_frame, write_frame
from old_pythons import old_pythons

SOURCES = sorted((WORKER_PATH / WORKER_MODULE).glob("*.py"))


def vermin(*sources: Path) -> subprocess.CompletedProcess[str]:
    tool = Path(sys.executable).with_name("vermin")
    command = [str(tool), "--target=3.6-", "--no-tips", "--violations", *map(str, sources)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_worker_needs_no_newer_python_than_3_6() -> None:
    found = vermin(*SOURCES)
    assert found.returncode == 0, found.stdout + found.stderr
    assert len(SOURCES) >= 8


def test_a_newer_construct_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "newer.py").write_text("if (n := 3) > 2:\n    pass\n")
    found = vermin(tmp_path / "newer.py")
    assert found.returncode != 0
    assert "named expression" in found.stdout + found.stderr


def test_the_worker_imports_the_standard_library_numpy_and_itself_alone() -> None:
    found = set()
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Import):
                found |= {name.name.split(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add((node.module or "").split(".")[0])
    assert found - set(sys.stdlib_module_names) == {"numpy"}


def test_a_real_python_3_6_compiles_and_starts_it(tmp_path: Path) -> None:
    python = next(old_pythons("3.6"), None)
    if python is None:
        pytest.skip("no Python 3.6 here (name one in EYEBRIGHT_TEST_PYTHON36)")
    check = "import sys\nfor one in sys.argv[1:]: compile(open(one).read(), one, 'exec')"
    compiled = subprocess.run([python, "-c", check, *map(str, SOURCES)], capture_output=True, text=True, check=False)
    assert compiled.returncode == 0, compiled.stderr
    # With what little of NumPy the probe touches, where this Python has none of its own.
    (tmp_path / "numpy.py").write_text("__version__ = 'none'\nfloat16 = float32 = float64 = int32 = int64 = None\n")
    environment = {**os.environ, "PYTHONPATH": f"{WORKER_PATH}:{tmp_path}", "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        [python, "-m", WORKER_MODULE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        write_frame(worker.stdin, REQUEST, {"command": "probe"})
        answer = read_frame(worker.stdout)
        write_frame(worker.stdin, REQUEST, {"command": "exit"})
        worker.wait(30)
    assert answer is not None
    # Without a GPU it says so by name; with one, it goes on to the board's TensorRT, which is not there.
    assert (answer.kind, answer.header["word"]) in {(FAILURE, word) for word in ("no-cuda", "no-device", "no-tensorrt")}
