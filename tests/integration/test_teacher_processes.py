"""Teachers trained by two processes: one's losses with one global batch, and one teacher in the end."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from command_line import exit_code
from eyebright_learning.models import build_teacher
from eyebright_learning.training import TeacherTraining, train_teacher
from eyebright_learning.training.parallel import Parallel, joined
from eyebright_learning.training.records import EpochRecord
from eyebright_server.teacher.record import TeacherRecord
from learning_pictures import striped_pictures
from prepared_folders import prepared_folder
from torchrun import torchrun

# No batch statistics and no dropout; a focal loss with class weights on unequal classes, and averaged weights.
WORDS = ("train", "--smoke", "--recipe", "oct-convnext", "--teacher", "test_vit", "--batch-size", "7", "--threads", "1")
CONFIG = TeacherTraining(epochs=2, batch_size=8, threads=1)


def worker(out: Path) -> None:
    with joined(device="cpu") as parallel:
        (out / f"{parallel.rank}.json").write_text(json.dumps(_with_batch_statistics(parallel, out)))


def _with_batch_statistics(parallel: Parallel, out: Path) -> dict[str, object]:
    """Train MobileNetV2 with a stop after the first epoch and without one, and say what came of it."""

    class Stopped(Exception):
        pass

    def stop(record: EpochRecord) -> None:
        raise Stopped

    def train(folder: Path | None, on_epoch=None) -> tuple[list[float], str]:
        teacher = build_teacher("mobilenet_v2", classes=4, image_size=32, seed=parallel.rank)
        pictures, held_out = striped_pictures(24), striped_pictures(8, seed=1)
        done = train_teacher(
            teacher, pictures, held_out, config=CONFIG, checkpoint=folder, parallel=parallel, on_epoch=on_epoch
        )
        return [record.losses["total"] for record in done.training.history], teacher.digest()

    losses, digest = train(None)
    with pytest.raises(Stopped):
        train(out / "stopped", stop)
    return {"losses": losses, "digest": digest, "resumed": train(out / "stopped") == (losses, digest)}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    out = tmp_path_factory.mktemp("teacher")
    torchrun(Path(__file__), str(out))
    return [json.loads((out / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one(tmp_path: Path) -> None:
    words = (*WORDS, "--images", str(prepared_folder(tmp_path / "images", task="oct", rare=True)))
    torchrun("-m", "eyebright_server.teacher", *words, "--out", str(tmp_path / "two"))
    assert exit_code("server", "teacher", *words, "--out", tmp_path / "one", "--device", "cpu") == 0
    one, two = (
        TeacherRecord.model_validate_json((tmp_path / name / "teacher.json").read_bytes()) for name in ("one", "two")
    )
    assert (one.processes, two.processes) == (1, 2)
    assert [e.losses["total"] for e in two.history] == pytest.approx([e.losses["total"] for e in one.history], abs=1e-5)
    assert two.temperature == pytest.approx(one.temperature, abs=1e-3)


@pytest.mark.slow
def test_with_batch_statistics_all_processes_end_with_one_teacher(found: list[dict]) -> None:
    assert found[0]["digest"] == found[1]["digest"]
    assert found[0]["losses"] == found[1]["losses"]


@pytest.mark.slow
def test_a_training_of_two_processes_is_continued_bit_for_bit(found: list[dict]) -> None:
    assert all(one["resumed"] for one in found)


if __name__ == "__main__":
    worker(Path(sys.argv[1]))
