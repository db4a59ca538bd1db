"""The folder a teacher's run leaves behind: taken once, continued, begun again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from eyebright_common.errors import InputError, OutputInUse
from eyebright_server.teacher.output import check_output, clear_output


def test_a_new_and_an_empty_folder_may_be_used(tmp_path: Path) -> None:
    check_output(tmp_path)
    check_output(tmp_path / "new")


def test_a_folder_in_use_is_refused_with_both_ways_out(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(OutputInUse, match=r"--resume.*--force"):
        check_output(tmp_path)


@pytest.mark.parametrize("way", ["resume", "force"])
def test_a_folder_in_use_may_be_continued_or_begun_again(tmp_path: Path, way: str) -> None:
    (tmp_path / "teacher.json").touch()
    check_output(tmp_path, **{way: True})


def test_continuing_and_beginning_again_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one of them"):
        check_output(tmp_path, resume=True, force=True)


def test_a_file_is_no_output_folder(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(InputError, match="must be a folder"):
        check_output(tmp_path / "out", force=True)


def test_beginning_again_deletes_what_a_run_wrote_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "epoch-1.safetensors").touch()
    (tmp_path / "teacher.json").touch()
    (tmp_path / "thesis.txt").touch()
    clear_output(tmp_path, ("checkpoint", "teacher.json", "absent"))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_server_s_other_commands_start_without_torch() -> None:
    look = "import sys, eyebright_server.commands; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], check=False).returncode == 0
