"""Training that is killed ends with the bits of an undisturbed one; what was finished is not trained again."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from eyebright_common.errors import InputError
from eyebright_learning.distillation import Recipe
from eyebright_learning.models import Teacher, build_student, build_teacher
from eyebright_learning.teacher_cache import TeacherCache
from eyebright_learning.training import EpochRecord, StudentTraining, TeacherTraining, fit, train_teacher
from eyebright_learning.training.records import OnEpoch, TrainingResult
from learning_pictures import small_teacher, striped_pictures

CONFIGS = {
    "plain": TeacherTraining(epochs=4, batch_size=8, threads=1),
    "momentum": TeacherTraining(epochs=4, batch_size=8, threads=1, optimiser="sgd", learning_rate=0.01),
    "phases": TeacherTraining(epochs=4, batch_size=8, threads=1, frozen_epochs=1, averaging_start=0.5, warmup=0.0),
}
# Dropout in its head, batch normalisation in its body: what is hardest to take up again.
NETWORK = "mobilenet_v2"
ENSEMBLE = "ensemble:test_vit+test_vit"


def teacher(name: str = NETWORK) -> Teacher:
    return build_teacher(name, classes=4, image_size=32, seed=0)


def train(
    network: Teacher, config: TeacherTraining, folder: Path | None = None, on_epoch: OnEpoch | None = None
) -> TrainingResult:
    pictures, held_out = striped_pictures(24), striped_pictures(8, seed=1)
    return train_teacher(network, pictures, held_out, config=config, checkpoint=folder, on_epoch=on_epoch).training


def kill_at(epoch: int) -> Callable[[EpochRecord], None]:
    def kill(record: EpochRecord) -> None:
        if record.epoch == epoch:
            os.kill(os.getpid(), signal.SIGKILL)

    return kill


def killed(folder: Path, name: str, config: TeacherTraining, epoch: int) -> None:
    train(teacher(name), config, folder, kill_at(epoch))


def kill_after(epoch: int, folder: Path, name: str, config: TeacherTraining) -> None:
    child = multiprocessing.get_context("spawn").Process(target=killed, args=(folder, name, config, epoch))
    child.start()
    child.join(timeout=300)
    assert child.exitcode == -signal.SIGKILL


def assert_same(first: Teacher, second: Teacher) -> None:
    for (name, one), (_, other) in zip(first.state_dict().items(), second.state_dict().items(), strict=True):
        assert torch.equal(one, other), name


@pytest.mark.kill
@pytest.mark.parametrize("kind", list(CONFIGS))
def test_a_killed_training_ends_with_the_same_curve_and_the_same_weights(tmp_path: Path, kind: str) -> None:
    kill_after(2, tmp_path, NETWORK, CONFIGS[kind])
    resumed, straight, seen = teacher(), teacher(), []
    history = train(resumed, CONFIGS[kind], tmp_path, lambda record: seen.append(record.epoch)).history
    assert seen == [3, 4]
    assert history == train(straight, CONFIGS[kind]).history
    assert_same(resumed, straight)


@pytest.mark.kill
def test_a_killed_ensemble_does_not_train_its_finished_member_again(tmp_path: Path) -> None:
    kill_after(6, tmp_path, ENSEMBLE, CONFIGS["plain"])
    resumed, straight, seen = teacher(ENSEMBLE), teacher(ENSEMBLE), []
    result = train(resumed, CONFIGS["plain"], tmp_path, lambda record: seen.append(record.epoch))
    assert seen == [7, 8]
    assert result == train(straight, CONFIGS["plain"])
    assert_same(resumed, straight)


def test_keeping_checkpoints_changes_nothing(tmp_path: Path) -> None:
    kept, straight = teacher("test_vit"), teacher("test_vit")
    assert train(kept, CONFIGS["plain"], tmp_path) == train(straight, CONFIGS["plain"])
    assert_same(kept, straight)


def test_a_finished_training_is_not_trained_again(tmp_path: Path) -> None:
    first, again, seen = teacher("test_vit"), teacher("test_vit"), []
    result = train(first, CONFIGS["plain"], tmp_path)
    assert train(again, CONFIGS["plain"], tmp_path, lambda record: seen.append(record.epoch)) == result
    assert seen == []
    assert_same(first, again)
    assert not again.training


@pytest.mark.slow
def test_a_training_killed_before_its_average_settled_settles_it(tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(record: EpochRecord) -> None:
        if record.epoch == 4:
            raise Stopped

    config = CONFIGS["phases"]
    with pytest.raises(Stopped):
        train(teacher(), config, tmp_path, stop)
    resumed, straight = teacher(), teacher()
    assert train(resumed, config, tmp_path) == train(straight, config)
    assert_same(resumed, straight)


def test_another_training_is_refused_in_the_folder(tmp_path: Path) -> None:
    train(teacher("test_vit"), CONFIGS["plain"], tmp_path)
    with pytest.raises(InputError, match="another training"):
        train(teacher("test_vit"), replace(CONFIGS["plain"], learning_rate=0.1), tmp_path)


def test_a_student_resumes_too_and_terms_on_features_are_refused(tmp_path: Path) -> None:
    images, config = striped_pictures(8), StudentTraining(epochs=2, batch_size=4, views=1, threads=1)
    cache = TeacherCache.open_or_build(
        tmp_path / "t.cache", teacher=small_teacher(), images=images, views=1, feature_views=1, modality="CFP"
    )

    def distil(recipe: Recipe, folder: Path | None) -> TrainingResult:
        student = build_student("mobilenet_v2", classes=4, seed=0)
        return fit(student, images, classes=4, recipe=recipe, config=config, cache=cache, checkpoint=folder)

    assert distil(Recipe(), tmp_path / "kept") == distil(Recipe(), None) == distil(Recipe(), tmp_path / "kept")
    with pytest.raises(InputError, match="cannot be interrupted"):
        distil(Recipe(gl=0.05), tmp_path / "features")
