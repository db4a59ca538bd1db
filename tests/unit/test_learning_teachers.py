"""Teachers that timm builds: by name, at the picture size in use, and known by the bytes of their file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from eyebright_common.errors import InputError
from eyebright_learning.models import (
    Teacher,
    TeacherIdentity,
    build_student,
    build_teacher,
    read_teacher,
    save_weights,
)
from learning_pictures import small_teacher


@pytest.mark.parametrize(("size", "tokens"), [(64, 4), (96, 3), (160, 5), (224, 7)])
def test_a_hybrid_keeps_a_usable_grid_of_tokens(size: int, tokens: int) -> None:
    teacher = build_teacher("vit_tiny_r_s16_p8_224", classes=4, image_size=size, seed=0)
    assert teacher.network.patch_embed.grid_size == (tokens, tokens)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "vit_tiny_r_s16_p8_224", "convnextv2_atto"])
def test_a_teacher_answers_for_its_picture_size(name: str) -> None:
    teacher = build_teacher(name, classes=4, image_size=96, seed=0).eval()
    with torch.inference_mode():
        assert teacher(torch.full((2, 3, 96, 96), 128.0)).shape == (2, 4)


def test_a_size_that_does_not_suit_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="multiple of 32"):
        build_teacher("vit_tiny_r_s16_p8_224", classes=4, image_size=50, seed=0)


def test_an_unknown_teacher_is_answered_with_close_names() -> None:
    with pytest.raises(InputError, match="vit_tiny_patch16_224"):
        build_teacher("vit_tny_patch16_224", classes=4, image_size=96, seed=0)


def test_each_teacher_normalises_as_its_published_weights_expect() -> None:
    half_grey = torch.full((1, 3, 1, 1), 127.5)
    assert small_teacher().normalise(half_grey).abs().max() < 1e-6  # mean 0.5, deviation 0.5
    convolutional = build_teacher("convnextv2_atto", classes=4, image_size=32, seed=0)
    assert convolutional.normalise(half_grey).flatten()[0] == pytest.approx((0.5 - 0.485) / 0.229, abs=1e-5)


def test_calibrated_logits_are_divided_by_the_temperature() -> None:
    teacher = small_teacher().eval()
    teacher.set_temperature(2.5)
    x = 255 * torch.rand(3, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(teacher.calibrated(x), teacher(x) / 2.5)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_a_temperature_that_is_not_positive_is_refused(value: float) -> None:
    with pytest.raises(InputError):
        small_teacher().set_temperature(value)


def test_the_digest_is_that_of_the_file(tmp_path: Path) -> None:
    teacher = small_teacher()
    teacher.save(tmp_path / "teacher.safetensors")
    assert teacher.digest() == hashlib.sha256((tmp_path / "teacher.safetensors").read_bytes()).hexdigest()


def test_the_temperature_is_part_of_the_digest() -> None:
    teacher = small_teacher()
    before = teacher.digest()
    teacher.set_temperature(1.5)
    assert teacher.digest() != before


def test_a_teacher_is_rebuilt_from_its_file_alone(tmp_path: Path) -> None:
    teacher = small_teacher(seed=4)
    teacher.set_temperature(1.25)
    teacher.save(tmp_path / "teacher.safetensors")
    back = read_teacher(tmp_path / "teacher.safetensors")
    assert (back.digest(), back.identity, float(back.temperature)) == (teacher.digest(), teacher.identity, 1.25)


def test_a_teachers_file_can_be_given_as_weights(tmp_path: Path) -> None:
    teacher = small_teacher(seed=4)
    teacher.save(tmp_path / "teacher.safetensors")
    back = build_teacher("test_vit", classes=4, image_size=32, seed=9, weights=tmp_path / "teacher.safetensors")
    assert back.digest() == teacher.digest()


def test_a_timm_teachers_file_says_what_it_always_said(tmp_path: Path) -> None:
    small_teacher().save(tmp_path / "teacher.safetensors")
    with safe_open(tmp_path / "teacher.safetensors", framework="pt") as file:
        said = file.metadata()["eyebright"]
    assert said == '{"schema_version":1,"architecture":"test_vit","classes":4,"image_size":32}'


def test_a_timm_teacher_of_a_students_name_stays_readable(tmp_path: Path) -> None:
    network = timm.create_model("resnet18", num_classes=4)
    teacher = Teacher(network, TeacherIdentity(architecture="resnet18", classes=4, image_size=32)).eval()
    teacher.save(tmp_path / "teacher.safetensors")
    x = 255 * torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(read_teacher(tmp_path / "teacher.safetensors")(x), teacher(x))


def test_a_file_of_another_teacher_is_named(tmp_path: Path) -> None:
    small_teacher(size=48).save(tmp_path / "teacher.safetensors")
    with pytest.raises(InputError, match="test_vit, 4 classes, 48 px"):
        build_teacher("test_vit", classes=4, image_size=32, seed=0, weights=tmp_path / "teacher.safetensors")


def test_a_checkpoint_under_timms_names_is_resampled_to_the_picture_size(tmp_path: Path) -> None:
    source = timm.create_model("test_vit", num_classes=10, img_size=64)
    save_file(source.state_dict(), tmp_path / "vit.safetensors")
    teacher = build_teacher("test_vit", classes=4, image_size=32, seed=0, weights=tmp_path / "vit.safetensors")
    mine, theirs = teacher.network.state_dict(), source.state_dict()
    assert torch.equal(mine["blocks.0.attn.qkv.weight"], theirs["blocks.0.attn.qkv.weight"])
    assert mine["pos_embed"].shape != theirs["pos_embed"].shape
    assert mine["head.weight"].shape[0] == 4


def test_a_student_is_not_a_teacher(tmp_path: Path) -> None:
    save_weights(build_student("mobilenet_v2", classes=4, seed=0), tmp_path / "student.safetensors")
    with pytest.raises(InputError, match="not a teacher"):
        read_teacher(tmp_path / "student.safetensors")


def test_a_truncated_teacher_is_named(tmp_path: Path) -> None:
    small_teacher().save(tmp_path / "teacher.safetensors")
    content = (tmp_path / "teacher.safetensors").read_bytes()
    (tmp_path / "teacher.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="cannot be read"):
        read_teacher(tmp_path / "teacher.safetensors")


def test_without_a_network_published_weights_say_how_to_give_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(name: str, **options: Any) -> torch.nn.Module:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(InputError, match="local safetensors checkpoint"):
        build_teacher("vit_tiny_patch16_224", classes=4, image_size=96, seed=0, pretrained=True)


def test_building_a_teacher_leaves_torchs_generator_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again = small_teacher(seed=1), small_teacher(seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert first.digest() == again.digest()
