"""`eyebright server teacher` killed half-way, as it happens to a person: the same command goes on with `--resume`."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import exit_code
from learning_pictures import striped_pictures
from prepared_folders import prepared_folder

_ON_CPU = ("--smoke", "--epochs", "8", "--threads", "1", "--device", "cpu")


def kill_when_it_prints(text: str, words: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "eyebright_server.teacher", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any(text in line for line in process.stdout)
        process.kill()
        assert process.wait() == -signal.SIGKILL


@pytest.mark.kill
@pytest.mark.parametrize(("command", "result"), [("train", "teacher"), ("pretrain", "encoder")])
def test_a_killed_command_goes_on_and_leaves_the_same_file(tmp_path: Path, command: str, result: str) -> None:
    images = prepared_folder(tmp_path / "images")
    if command == "pretrain":
        images = tmp_path / "images.npz"
        striped_pictures(24, size=64).save(images)
    words = (command, "--images", str(images), *_ON_CPU)
    kill_when_it_prints("epoch 2/8", (*words, "--out", str(tmp_path / "killed")))
    assert not (tmp_path / "killed" / f"{result}.safetensors").exists()
    assert exit_code("server", "teacher", *words, "--out", tmp_path / "killed", "--resume") == 0
    assert exit_code("server", "teacher", *words, "--out", tmp_path / "straight") == 0
    killed, straight = (tmp_path / name / f"{result}.safetensors" for name in ("killed", "straight"))
    assert killed.read_bytes() == straight.read_bytes()
