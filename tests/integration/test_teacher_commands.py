"""`server teacher` and `server first-student` killed half-way, as it happens to a person: `--resume` goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import exit_code
from learning_pictures import small_teacher, striped_pictures
from prepared_folders import prepared_folder

_ON_CPU = ("--epochs", "8", "--threads", "1", "--device", "cpu")


def kill_when_it_prints(text: str, words: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", "from eyebright_common.cli import main; main()", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any(text in line for line in process.stdout)
        process.kill()
        assert process.wait() == -signal.SIGKILL


def ends_alike(words: tuple[str, ...], result: str, folder: Path) -> None:
    """Run a command to its end, and killed and continued; both must leave the same file."""
    kill_when_it_prints("epoch 2/8", (*words, "--out", str(folder / "killed")))
    assert not (folder / "killed" / f"{result}.safetensors").exists()
    assert exit_code(*words, "--out", folder / "killed", "--resume") == 0
    assert exit_code(*words, "--out", folder / "straight") == 0
    killed, straight = (folder / name / f"{result}.safetensors" for name in ("killed", "straight"))
    assert killed.read_bytes() == straight.read_bytes()


@pytest.mark.kill
@pytest.mark.parametrize(("command", "result"), [("train", "teacher"), ("pretrain", "encoder")])
def test_a_killed_command_goes_on_and_leaves_the_same_file(tmp_path: Path, command: str, result: str) -> None:
    images = prepared_folder(tmp_path / "images")
    if command == "pretrain":
        images = tmp_path / "images.npz"
        striped_pictures(24, size=64).save(images)
    ends_alike(("server", "teacher", command, "--images", str(images), "--smoke", *_ON_CPU), result, tmp_path)


@pytest.mark.kill
def test_a_killed_first_student_goes_on_and_is_the_same(tmp_path: Path) -> None:
    small_teacher().save(tmp_path / "teacher.safetensors")
    words = ("--images", str(prepared_folder(tmp_path / "images")), "--teacher", str(tmp_path / "teacher.safetensors"))
    ends_alike(("server", "first-student", *words, "--batch-size", "8", *_ON_CPU), "student", tmp_path)
