"""The ensemble: the mean of its members' calibrated probabilities, handed out as logits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from eyebright_common.errors import InputError
from eyebright_learning.models import (
    Ensemble,
    Teacher,
    TeacherIdentity,
    build_student,
    build_teacher,
    read_teacher,
    save_weights,
    teacher_features,
)
from learning_pictures import small_teacher


def pictures() -> Tensor:
    return 255 * torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def member(seed: int, temperature: float = 1.0) -> Teacher:
    teacher = small_teacher(seed=seed).eval()
    teacher.set_temperature(temperature)
    for parameter in teacher.network.head.parameters():
        torch.nn.init.normal_(parameter, std=1.0)  # untrained teachers hardly differ
    return teacher


def built(name: str, *, weights: Path | None = None) -> Ensemble:
    teacher = build_teacher(name, classes=4, image_size=32, seed=3, weights=weights)
    assert isinstance(teacher, Ensemble)
    return teacher


def naive_softmax(logits: Tensor) -> np.ndarray:
    weights = np.exp(logits.double().numpy() - logits.double().numpy().max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)


def test_its_probabilities_are_the_mean_of_the_members_calibrated_ones() -> None:
    members = [member(0), member(1, 0.5), member(2, 3.0)]
    with torch.inference_mode():
        said = naive_softmax(Ensemble(members).eval().calibrated(pictures()))
        each = [
            naive_softmax(one(pictures()) / temperature) for one, temperature in zip(members, (1, 0.5, 3), strict=True)
        ]
    np.testing.assert_allclose(said, (each[0] + each[1] + each[2]) / 3, rtol=1e-5)


def test_logits_are_already_the_logarithm_of_the_mean() -> None:
    with torch.inference_mode():
        said = Ensemble([member(0), member(1)]).eval()(pictures())
    torch.testing.assert_close(said.exp().sum(1), torch.ones(3))


def test_a_member_that_is_certain_and_wrong_does_not_make_the_mean_infinite() -> None:
    certain = member(0, 1e-6)
    with torch.inference_mode():
        assert Ensemble([certain, certain]).eval()(pictures()).min() < -1e3
        assert torch.isfinite(Ensemble([certain, member(1)]).eval()(pictures())).all()


def test_identical_members_answer_as_one() -> None:
    one = member(0, 2.0)
    with torch.inference_mode():
        torch.testing.assert_close(
            Ensemble([one, one, one]).eval()(pictures()).softmax(1), one.calibrated(pictures()).softmax(1)
        )


def test_the_order_of_members_does_not_change_the_answer() -> None:
    members = [member(0), member(1, 2.0)]
    with torch.inference_mode():
        torch.testing.assert_close(Ensemble(members).eval()(pictures()), Ensemble(members[::-1]).eval()(pictures()))


def test_its_own_temperature_comes_on_top_of_the_members() -> None:
    ensemble = Ensemble([member(0, 0.5), member(1)]).eval()
    with torch.inference_mode():
        logarithm = ensemble(pictures())
        ensemble.set_temperature(2.0)
        torch.testing.assert_close(ensemble(pictures()), logarithm)
        torch.testing.assert_close(ensemble.calibrated(pictures()), logarithm / 2.0)


def test_training_a_member_in_place_changes_the_ensemble() -> None:
    ensemble = built("ensemble:test_vit+test_vit").eval()
    before = ensemble.digest()
    ensemble.members[1].set_temperature(1.5)
    assert ensemble.digest() != before


def test_members_start_differently_each_from_its_own_seed() -> None:
    members = built("ensemble:test_vit+test_vit+test_vit").members
    assert [one.digest() for one in members] == [
        build_teacher("test_vit", classes=4, image_size=32, seed=seed).digest() for seed in (3, 4, 5)
    ]


def test_members_of_other_kinds_keep_their_names_and_order() -> None:
    ensemble = built("ensemble:mobilenet_v2+test_vit+hybrid_mobilenet_v2_tiny")
    assert [one.identity.kind for one in ensemble.members] == ["student", "timm", "hybrid"]


def test_members_keep_their_own_temperatures_through_the_file(tmp_path: Path) -> None:
    Ensemble([member(0, 0.5), member(1, 3.0)]).save(tmp_path / "ensemble.safetensors")
    back = read_teacher(tmp_path / "ensemble.safetensors")
    assert isinstance(back, Ensemble)
    assert [float(one.temperature) for one in back.members] == [0.5, 3.0]


def test_a_checkpoint_starts_every_member(tmp_path: Path) -> None:
    published = build_student("resnet18", classes=1000, seed=7)
    save_weights(published, tmp_path / "imagenet.safetensors")
    members = built("ensemble:resnet18+resnet18", weights=tmp_path / "imagenet.safetensors").members
    for one in members:
        assert torch.equal(one.state_dict()["network.conv1.weight"], published.conv1.weight)
    heads = [one.state_dict()["network.fc.weight"] for one in members]
    assert not torch.equal(heads[0], heads[1])


def test_features_are_those_of_the_first_member_that_has_them() -> None:
    convolutional = build_teacher("resnet18", classes=4, image_size=32, seed=0).eval()
    first, second = member(1), member(2)
    with torch.inference_mode():
        said = teacher_features(Ensemble([convolutional, first, second]).eval(), pictures())
        own = teacher_features(first, pictures())
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(said[1:], own[1:], strict=True))


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_are_no_ensemble(count: int) -> None:
    with pytest.raises(InputError):
        Ensemble([small_teacher()] * count)


def test_members_for_other_pictures_or_classes_are_refused() -> None:
    with pytest.raises(InputError, match="48 px"):
        Ensemble([small_teacher(), small_teacher(size=48)])
    with pytest.raises(InputError, match="2 classes"):
        Ensemble([small_teacher(), small_teacher(classes=2)])


def test_an_ensemble_is_no_member() -> None:
    inner = Ensemble([small_teacher(), small_teacher()])
    with pytest.raises(InputError, match="not the name of an ensemble"):
        Ensemble([inner, small_teacher()])


def test_a_timm_teacher_of_a_students_name_is_no_member() -> None:
    misnamed = Teacher(small_teacher().network, TeacherIdentity(architecture="resnet18", classes=4, image_size=32))
    with pytest.raises(InputError, match="would mean the student"):
        Ensemble([misnamed, small_teacher()])
