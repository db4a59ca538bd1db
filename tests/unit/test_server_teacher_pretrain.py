"""`eyebright server teacher pretrain`, in its smoke size: what it prints, keeps, and says when it went wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from command_line import run_command
from eyebright_learning.data import PreparedImages
from eyebright_learning.models import build_teacher
from eyebright_server.teacher.pretraining import PretrainingRun
from learning_pictures import striped_pictures


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "images.npz"
    striped_pictures(24, size=64).save(path)
    return path


def run(capsys: pytest.CaptureFixture[str], images: Path, out: Path, *more: object) -> tuple[int, str, str]:
    words = ("server", "teacher", "pretrain", "--images", images, "--out", out, "--smoke", "--device", "cpu")
    return run_command(capsys, *words, *more)


def test_a_run_says_how_it_goes_and_leaves_an_encoder_that_a_teacher_starts_from(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, printed, _ = run(capsys, images, tmp_path, "--epochs", 2, "--probe", images)
    assert code == 0
    assert "epoch 2/2" in printed
    assert all(word in printed for word in ("RankMe", "deviation", "kNN"))
    kept = PretrainingRun.model_validate_json((tmp_path / "pretraining.json").read_bytes())
    assert (kept.pictures, kept.collapsed, len(kept.history)) == (24, None, 2)
    build_teacher(kept.architecture, classes=4, image_size=64, seed=0, weights=tmp_path / kept.encoder)


def test_a_run_is_continued_in_its_folder_and_not_written_over(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, images, tmp_path, "--epochs", 1)[0] == 0
    code, _, problem = run(capsys, images, tmp_path, "--epochs", 1)
    assert (code, "in use" in problem) == (2, True)
    before = (tmp_path / "encoder.safetensors").read_bytes()
    code, printed, _ = run(capsys, images, tmp_path, "--epochs", 1, "--resume", "--json")
    assert code == 0
    assert len(json.loads(printed)["history"]) == 1
    assert (tmp_path / "encoder.safetensors").read_bytes() == before
    code, _, problem = run(capsys, images, tmp_path, "--epochs", 1, "--resume", "--seed", 1)
    assert (code, "another pre-training" in problem) == (2, True)
    assert run(capsys, images, tmp_path, "--epochs", 1, "--force", "--seed", 1)[0] == 0


def test_a_rate_of_zero_is_refused_and_not_taken_for_the_usual_one(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, problem = run(capsys, images, tmp_path / "out", "--epochs", 1, "--learning-rate", 0)
    assert (code, "learning_rate must be above 0" in problem) == (2, True)


def test_a_collapse_is_loud_and_the_weights_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    PreparedImages.of(np.full((8, 64, 64, 3), 7, np.uint8), [0] * 8).save(tmp_path / "alike.npz")
    code, printed, problem = run(capsys, tmp_path / "alike.npz", tmp_path / "out", "--epochs", 1, "--json")
    assert code == 1
    assert "COLLAPSED" in problem
    assert json.loads(printed)["collapsed"]
    assert (tmp_path / "out" / "encoder.safetensors").stat().st_size > 0
