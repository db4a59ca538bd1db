"""Every kind of teacher behind one interface: timm's, a student's architecture, a hybrid, an ensemble."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from eyebright_common.errors import InputError
from eyebright_learning.models import (
    Teacher,
    build_student,
    build_teacher,
    check_teacher,
    read_teacher,
    save_weights,
    teacher_features,
)
from eyebright_learning.training import TeacherTraining, train_teacher
from learning_pictures import striped_pictures

FEATURES = {
    "test_vit": True,
    "convnextv2_atto": False,
    "resnet18": False,
    "hybrid_mobilenet_v2_tiny": True,
    "ensemble:resnet18+test_vit": True,
    "ensemble:resnet18+convnextv2_atto": False,
}
KINDS = tuple(FEATURES)
OWN_NAMES = ("resnet18", "hybrid_mobilenet_v2_tiny", "ensemble:resnet18+test_vit")


def built(name: str, *, seed: int = 0, size: int = 64, weights: Path | None = None) -> Teacher:
    return build_teacher(name, classes=3, image_size=size, seed=seed, weights=weights).eval()


@cache
def held(name: str) -> Teacher:
    """A teacher that no test changes."""
    return built(name)


def pictures(count: int = 2, size: int = 64) -> Tensor:
    return 255 * torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", KINDS)
def test_a_teacher_gives_one_logit_per_class_and_knows_its_name(name: str) -> None:
    with torch.inference_mode():
        assert held(name)(pictures()).shape == (2, 3)
    assert (held(name).architecture, held(name).identity.classes, held(name).identity.image_size) == (name, 3, 64)


@pytest.mark.parametrize("name", KINDS)
def test_calibrated_logits_are_divided_by_the_teachers_own_temperature(name: str) -> None:
    teacher = built(name)
    with torch.inference_mode():
        plain = teacher(pictures())
        torch.testing.assert_close(teacher.calibrated(pictures()), plain)
        teacher.set_temperature(2.5)
        torch.testing.assert_close(teacher.calibrated(pictures()), plain / 2.5)


@pytest.mark.parametrize("name", KINDS)
def test_a_teacher_comes_back_from_its_file_alone(tmp_path: Path, name: str) -> None:
    teacher = built(name, seed=3)
    teacher.set_temperature(1.25)
    teacher.save(tmp_path / "teacher.safetensors")
    back = read_teacher(tmp_path / "teacher.safetensors")
    file_digest = hashlib.sha256((tmp_path / "teacher.safetensors").read_bytes()).hexdigest()
    assert (back.identity, back.digest(), teacher.digest()) == (teacher.identity, file_digest, file_digest)
    with torch.inference_mode():
        assert torch.equal(back.calibrated(pictures()), teacher.calibrated(pictures()))


@pytest.mark.parametrize("name", KINDS)
def test_a_teachers_file_can_be_given_as_weights(tmp_path: Path, name: str) -> None:
    teacher = built(name, seed=3)
    teacher.save(tmp_path / "teacher.safetensors")
    assert built(name, seed=9, weights=tmp_path / "teacher.safetensors").digest() == teacher.digest()


@pytest.mark.parametrize("name", KINDS)
def test_a_teacher_depends_on_its_seed_alone(name: str) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = built(name, seed=1), built(name, seed=1), built(name, seed=2)
    assert torch.equal(torch.get_rng_state(), before)
    assert first.digest() == again.digest() != other.digest()


@pytest.mark.parametrize("name", KINDS)
def test_a_teacher_says_whether_it_has_features(name: str) -> None:
    assert held(name).has_features is FEATURES[name]


@pytest.mark.parametrize("name", [name for name in KINDS if FEATURES[name]])
def test_features_come_with_the_logits_of_the_whole_teacher(name: str) -> None:
    with torch.inference_mode():
        said = teacher_features(held(name), pictures())
        assert torch.equal(said.logits, held(name)(pictures()))
    assert len({part.shape for part in said[1:]}) == 1
    assert said.tokens.shape[:2] == (2, 16)  # 64 px at stride 16


@pytest.mark.parametrize("name", KINDS)
def test_every_weight_of_a_teacher_can_learn(name: str) -> None:
    teacher = built(name).train()
    with torch.no_grad():  # a hybrid's transformer starts with no say
        for parameter in teacher.parameters():
            parameter.add_(0.01)
    teacher(pictures(count=4)).log_softmax(1)[:, 0].sum().backward()
    still = [key for key, value in teacher.named_parameters() if value.grad is None or not value.grad.abs().sum() > 0]
    assert still == []


@pytest.mark.parametrize("name", ["resnet18", "hybrid_mobilenet_v2_tiny", "test_vit"])
def test_a_teacher_is_trained_and_calibrated_by_the_loop_that_trains_students(name: str) -> None:
    teacher = build_teacher(name, classes=4, image_size=32, seed=0)
    before = [value.detach().clone() for value in teacher.parameters()]
    result = train_teacher(
        teacher, striped_pictures(8), striped_pictures(8, seed=1), config=TeacherTraining(epochs=3, batch_size=4)
    )
    assert result.temperature == pytest.approx(float(teacher.temperature))
    assert all(not torch.equal(old, new) for old, new in zip(before, teacher.parameters(), strict=True))


@pytest.mark.parametrize("name", KINDS)
def test_a_file_of_another_picture_size_is_named(tmp_path: Path, name: str) -> None:
    held(name).save(tmp_path / "teacher.safetensors")
    with pytest.raises(InputError, match=r"of another teacher.*3 classes, 64 px"):
        built(name, size=96, weights=tmp_path / "teacher.safetensors")


@pytest.mark.parametrize("name", KINDS)
def test_a_file_that_lacks_a_weight_is_incomplete(tmp_path: Path, name: str) -> None:
    teacher = built(name)
    del teacher.temperature
    teacher.save(tmp_path / "teacher.safetensors")
    with pytest.raises(InputError, match="incomplete"):
        read_teacher(tmp_path / "teacher.safetensors")


@pytest.mark.parametrize("name", OWN_NAMES)
def test_weights_of_another_architecture_are_refused(tmp_path: Path, name: str) -> None:
    save_weights(build_student("efficientnet_b0", classes=3, seed=0), tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="the weights are not of"):
        built(name, weights=tmp_path / "other.safetensors")


@pytest.mark.parametrize("name", OWN_NAMES)
def test_published_weights_are_not_downloaded_for_our_own(name: str) -> None:
    with pytest.raises(InputError, match="downloaded for timm's teachers only"):
        build_teacher(name, classes=3, image_size=64, seed=0, pretrained=True)


@pytest.mark.parametrize("name", KINDS)
def test_a_known_name_passes(name: str) -> None:
    check_teacher(name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hybrid_mobilenet_v2_tny", "hybrid_mobilenet_v2_tiny"),
        ("mobilenet_v", "mobilenet_v2"),
        ("ensemble:resnet18+vit_tny_patch16_224", "vit_tiny_patch16_224"),
        ("ensemble:resnet18", "NAME"),
        ("ensemble:resnet18+", "NAME"),
        ("ensemble:", "NAME"),
        ("ensemble:ensemble:resnet18+resnet18", "NAME"),
    ],
)
def test_a_name_that_is_not_known_is_answered_with_what_would_be(name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        check_teacher(name)


def test_a_students_architecture_teaches_as_the_student_it_is(tmp_path: Path) -> None:
    student = build_student("resnet18", classes=3, seed=4).eval()
    save_weights(student, tmp_path / "student.safetensors")
    teacher = built("resnet18", weights=tmp_path / "student.safetensors")
    with torch.inference_mode():
        assert torch.equal(teacher(pictures()), student(pictures()))
