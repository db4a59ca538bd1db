"""Training a teacher: calibrated, and an ensemble's members one after the other."""

import numpy as np
import pytest

from eyebright_learning.evaluation import fit_temperature, predict
from eyebright_learning.models import Ensemble, build_teacher
from eyebright_learning.training import EpochRecord, TeacherTraining, train_teacher
from learning_pictures import striped_pictures

CONFIG = TeacherTraining(epochs=2, batch_size=8, learning_rate=1e-3, threads=1)


@pytest.fixture
def ensemble() -> Ensemble:
    teacher = build_teacher("ensemble:test_vit+test_vit", classes=4, image_size=32, seed=3)
    assert isinstance(teacher, Ensemble)
    return teacher


def test_every_member_learns_and_they_stay_different(ensemble: Ensemble) -> None:
    before = [member.digest() for member in ensemble.members]
    train_teacher(ensemble, striped_pictures(24), striped_pictures(12, seed=5), config=CONFIG)
    after = [member.digest() for member in ensemble.members]
    assert len({*before, *after}) == 4


def test_a_member_becomes_what_it_would_have_become_alone(ensemble: Ensemble) -> None:
    images, validation = striped_pictures(24), striped_pictures(12, seed=5)
    alone = build_teacher("test_vit", classes=4, image_size=32, seed=3)
    train_teacher(alone, images, validation, config=CONFIG)
    train_teacher(ensemble, images, validation, config=CONFIG)
    assert ensemble.members[0].digest() == alone.digest()


def test_the_whole_is_calibrated_on_what_the_members_say_together(ensemble: Ensemble) -> None:
    validation = striped_pictures(12, seed=5)
    result = train_teacher(ensemble, striped_pictures(24), validation, config=CONFIG)
    ensemble.set_temperature(1.0)
    expected = fit_temperature(predict(ensemble, validation.pixels), validation.labels)
    assert result.temperature == pytest.approx(expected)
    assert all(float(member.temperature) != 1.0 for member in ensemble.members)


def test_epochs_of_an_ensemble_are_counted_on(ensemble: Ensemble) -> None:
    seen: list[EpochRecord] = []
    result = train_teacher(
        ensemble, striped_pictures(24), striped_pictures(12, seed=5), config=CONFIG, on_epoch=seen.append
    )
    assert [(record.epoch, record.epochs) for record in seen] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert result.training.examples == 2 * 2 * 24
    assert np.isfinite([record.losses["total"] for record in result.training.history]).all()
