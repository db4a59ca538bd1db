"""Training whatever teacher is named: one network, or the members of an ensemble, each calibrated."""

from __future__ import annotations

import numpy as np
import torch

from eyebright_learning.evaluation import fit_temperature, predict
from eyebright_learning.models import Ensemble, build_teacher
from eyebright_learning.training import TeacherTraining, train_teacher
from eyebright_simulations.study.teachers import train_any_teacher
from learning_pictures import small_teacher, striped_pictures

IMAGES, VALIDATION = striped_pictures(16), striped_pictures(8, seed=1)
CONFIG = TeacherTraining(epochs=1, batch_size=8, seed=3, threads=1)


def silent(share: float, note: str) -> None:
    pass


def test_a_single_teacher_is_trained_as_the_library_does() -> None:
    ours, theirs = small_teacher(), small_teacher()
    temperature = train_any_teacher(ours, IMAGES, VALIDATION, config=CONFIG, update=silent)
    assert temperature == train_teacher(theirs, IMAGES, VALIDATION, config=CONFIG).temperature
    assert ours.digest() == theirs.digest()


def test_members_are_trained_apart_with_seeds_of_their_own_then_calibrated_together() -> None:
    ensemble = build_teacher("ensemble:test_vit+test_vit", classes=4, image_size=32, seed=5)
    assert isinstance(ensemble, Ensemble)
    shares: list[float] = []
    temperature = train_any_teacher(
        ensemble, IMAGES, VALIDATION, config=CONFIG, update=lambda share, note: shares.append(share)
    )
    second = small_teacher(seed=6)
    train_teacher(second, IMAGES, VALIDATION, config=TeacherTraining(epochs=1, batch_size=8, seed=4, threads=1))
    assert all(
        torch.equal(mine, alone)
        for mine, alone in zip(ensemble.members[1].state_dict().values(), second.state_dict().values(), strict=True)
    )
    assert temperature == fit_temperature(predict(ensemble, VALIDATION.pixels), VALIDATION.labels)
    assert float(ensemble.temperature) == np.float32(temperature)
    assert shares == [0.5, 1.0]
