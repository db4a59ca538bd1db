"""Students: the head's map explains the logits, weights load or say why not, initialisation is the seed's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models as torchvision_models

from eyebright_common.errors import InputError
from eyebright_learning.models import STUDENTS, build_student, count_parameters, save_weights
from eyebright_learning.models.normalise import Normalise

PARAMETERS = {
    "mobilenet_v2": 2_228_996,
    "resnet18": 11_178_564,
    "efficientnet_b0": 4_012_672,
    "efficientnet_b2": 7_706_630,
}
TAP_CHANNELS = {"mobilenet_v2": 96, "resnet18": 256, "efficientnet_b0": 112, "efficientnet_b2": 120}


@pytest.mark.parametrize("name", STUDENTS)
def test_the_mean_of_the_map_plus_the_bias_is_the_logit(name: str) -> None:
    student = build_student(name, classes=4, seed=3).eval()
    torch.nn.init.normal_(student.head.weight)
    with torch.inference_mode():
        output = student.forward_all(255 * torch.rand(2, 3, 64, 64))
    torch.testing.assert_close(output.cam.mean((2, 3)) + student.head.bias, output.logits, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", STUDENTS)
def test_the_tap_is_the_stride_16_map(name: str) -> None:
    student = build_student(name, classes=3, seed=0).eval()
    with torch.inference_mode():
        output = student.forward_all(torch.zeros(1, 3, 64, 96))
    assert output.tap.shape == (1, TAP_CHANNELS[name], 4, 6)
    assert output.cam.shape == (1, 3, 2, 3)


@pytest.mark.parametrize("name", STUDENTS)
def test_forward_gives_the_logits_of_forward_all(name: str) -> None:
    student = build_student(name, classes=4, seed=0).eval()
    x = 255 * torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(student(x), student.forward_all(x).logits)


@pytest.mark.parametrize("name", STUDENTS)
def test_a_student_has_the_published_number_of_parameters(name: str) -> None:
    assert count_parameters(build_student(name, classes=4, seed=0)) == PARAMETERS[name]


@pytest.mark.parametrize("name", STUDENTS)
def test_keys_are_torchvisions(name: str) -> None:
    theirs = getattr(torchvision_models, name)(weights=None, num_classes=4).state_dict()
    ours = build_student(name, classes=4, seed=0).state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}


def test_the_body_computes_what_torchvisions_does() -> None:
    theirs = torchvision_models.mobilenet_v2(weights=None, num_classes=4).eval()
    ours = build_student("mobilenet_v2", classes=4, seed=0).eval()
    ours.load_state_dict(theirs.state_dict())
    x = 255 * torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(ours(x), theirs(Normalise()(x)), atol=1e-6, rtol=1e-5)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    first, again, other = (build_student("mobilenet_v2", classes=4, seed=s).state_dict() for s in (1, 1, 2))
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["features.0.0.weight"], other["features.0.0.weight"])


def test_building_a_student_leaves_torchs_generator_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    build_student("mobilenet_v2", classes=4, seed=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_normalisation_is_not_part_of_the_state() -> None:
    assert not any("normalise" in key for key in build_student("mobilenet_v2", classes=4, seed=0).state_dict())


def test_normalisation_takes_bytes_to_zero_mean_and_unit_deviation() -> None:
    grey = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1) * 255
    torch.testing.assert_close(Normalise()(grey), torch.zeros(1, 3, 1, 1), atol=1e-6, rtol=0)
    white = Normalise()(torch.full((1, 3, 1, 1), 255.0)).flatten()
    torch.testing.assert_close(white, torch.tensor([0.515 / 0.229, 0.544 / 0.224, 0.594 / 0.225]))


def test_saved_weights_come_back_with_their_head(tmp_path: Path) -> None:
    student = build_student("resnet18", classes=4, seed=1)
    save_weights(student, tmp_path / "student.safetensors")
    back = build_student("resnet18", classes=4, seed=2, weights=tmp_path / "student.safetensors").state_dict()
    assert all(torch.equal(tensor, back[key]) for key, tensor in student.state_dict().items())


def test_weights_without_step_counters_load(tmp_path: Path) -> None:
    student = build_student("mobilenet_v2", classes=4, seed=1)
    state = {k: v for k, v in student.state_dict().items() if not k.endswith("num_batches_tracked")}
    save_file(state, tmp_path / "round.safetensors")
    back = build_student("mobilenet_v2", classes=4, seed=2, weights=tmp_path / "round.safetensors").state_dict()
    assert all(torch.equal(tensor, back[key]) for key, tensor in state.items())


def test_a_head_of_other_classes_is_made_anew_from_the_seed(tmp_path: Path) -> None:
    save_weights(build_student("mobilenet_v2", classes=1000, seed=1), tmp_path / "imagenet.safetensors")
    student = build_student("mobilenet_v2", classes=4, seed=2, weights=tmp_path / "imagenet.safetensors")
    fresh = build_student("mobilenet_v2", classes=4, seed=2)
    body = build_student("mobilenet_v2", classes=4, seed=1)
    assert torch.equal(student.head.weight, fresh.head.weight)
    assert torch.equal(student.state_dict()["features.0.0.weight"], body.state_dict()["features.0.0.weight"])


def test_half_precision_weights_become_single(tmp_path: Path) -> None:
    state = {k: v.half() for k, v in build_student("mobilenet_v2", classes=4, seed=1).state_dict().items()}
    save_file(state, tmp_path / "half.safetensors")
    student = build_student("mobilenet_v2", classes=4, seed=2, weights=tmp_path / "half.safetensors")
    assert {p.dtype for p in student.parameters()} == {torch.float32}


def test_weights_of_another_architecture_name_the_first_missing_key(tmp_path: Path) -> None:
    save_weights(build_student("mobilenet_v2", classes=4, seed=1), tmp_path / "student.safetensors")
    with pytest.raises(InputError, match=r"not of resnet18: a key is missing: conv1\.weight\. Give weights of"):
        build_student("resnet18", classes=4, seed=1, weights=tmp_path / "student.safetensors")


def test_a_larger_sibling_of_the_architecture_is_refused(tmp_path: Path) -> None:
    save_weights(build_student("efficientnet_b2", classes=4, seed=1), tmp_path / "student.safetensors")
    with pytest.raises(InputError, match="not of efficientnet_b0"):
        build_student("efficientnet_b0", classes=4, seed=1, weights=tmp_path / "student.safetensors")


@pytest.mark.parametrize("content", [None, b"", b"\x80\x04pickle"])
def test_a_file_that_is_not_safetensors_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"w\.safetensors"):
        build_student("mobilenet_v2", classes=4, seed=1, weights=tmp_path / "w.safetensors")


def test_an_unknown_student_lists_the_known() -> None:
    with pytest.raises(InputError, match="mobilenet_v2, resnet18"):
        build_student("mobilenet", classes=4, seed=0)


@pytest.mark.shared
def test_the_public_imagenet_start_loads_apart_from_its_head(shared_weights: Path) -> None:
    student = build_student("mobilenet_v2", classes=4, seed=0, weights=shared_weights)
    fresh = build_student("mobilenet_v2", classes=4, seed=0)
    assert torch.equal(student.head.weight, fresh.head.weight)
    assert not torch.equal(student.state_dict()["features.0.0.weight"], fresh.state_dict()["features.0.0.weight"])
