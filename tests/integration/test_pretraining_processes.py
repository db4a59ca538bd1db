"""Pre-training in real processes: two with one global batch have one's losses, and a killed one is continued."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from eyebright_common.errors import InputError
from eyebright_learning.pretraining import (
    EncoderConfig,
    PretrainingConfig,
    PretrainingEpoch,
    PretrainingResult,
    pretrain,
)
from eyebright_learning.pretraining.masks import MaskSampling
from eyebright_learning.training.parallel import Parallel, joined
from learning_pictures import striped_pictures
from torchrun import torchrun

ENCODER = EncoderConfig(architecture="test_vit", image_size=32, patch_size=8)
# 22 pictures in batches of 11: the two processes have 5 and 6 of them.
CONFIG = replace(PretrainingConfig.smoke(epochs=4), batch_size=11, masks=MaskSampling(minimum_kept=2))


def run(parallel: Parallel, folder: Path | None = None) -> PretrainingResult:
    return pretrain(ENCODER, striped_pictures(22), config=CONFIG, parallel=parallel, checkpoint_dir=folder)


def worker(out: Path) -> None:
    with joined() as parallel:
        history = run(parallel, out / "checkpoint").history
        again = run(parallel, out / "checkpoint").history
        found = {"losses": [one.loss for one in history], "ranks": [one.rank for one in history]}
        found["held_out"] = [one.held_out_loss for one in history]
        found["read_back"] = again == history
        (out / f"{parallel.rank}.json").write_text(json.dumps(found))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    out = tmp_path_factory.mktemp("pretraining")
    torchrun(Path(__file__), str(out))
    return [json.loads((out / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one(found: list[dict]) -> None:
    alone = run(Parallel()).history
    assert found[0]["losses"] == pytest.approx([one.loss for one in alone], abs=1e-5)
    assert found[0]["held_out"] == pytest.approx([one.held_out_loss for one in alone], abs=1e-5)


@pytest.mark.slow
def test_all_processes_come_to_the_same_numbers(found: list[dict]) -> None:
    assert found[0] == found[1]


@pytest.mark.slow
def test_all_processes_continue_from_what_the_first_one_wrote(found: list[dict]) -> None:
    assert all(one["read_back"] for one in found)


@pytest.mark.slow
def test_a_batch_smaller_than_the_processes_is_refused_before_training() -> None:
    with pytest.raises(InputError, match="batch_size"):
        run(Parallel(rank=0, world_size=32))


def killed_after_two_epochs(folder: Path) -> None:
    def kill(record: PretrainingEpoch) -> None:
        if record.epoch == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    pretrain(ENCODER, striped_pictures(22), config=CONFIG, checkpoint_dir=folder, on_epoch=kill)


@pytest.mark.kill
def test_a_killed_run_ends_with_the_same_loss_curve(tmp_path: Path) -> None:
    child = multiprocessing.get_context("spawn").Process(target=killed_after_two_epochs, args=(tmp_path,))
    child.start()
    child.join(timeout=300)
    assert child.exitcode == -signal.SIGKILL
    seen: list[int] = []
    resumed = pretrain(
        ENCODER,
        striped_pictures(22),
        config=CONFIG,
        checkpoint_dir=tmp_path,
        on_epoch=lambda record: seen.append(record.epoch),
    )
    assert seen == [3, 4]
    assert resumed.history == run(Parallel()).history


if __name__ == "__main__":
    worker(Path(sys.argv[1]))
