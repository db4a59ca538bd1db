"""The hybrid: a transformer beside MobileNetV2's last convolutions, which starts as if it were not there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from eyebright_learning.models import HYBRIDS, Teacher, build_student, build_teacher, save_weights, teacher_features
from eyebright_learning.models.hybrid import HybridNetwork


def hybrid(name: str = "hybrid_mobilenet_v2_tiny", *, seed: int = 0, weights: Path | None = None) -> Teacher:
    return build_teacher(name, classes=3, image_size=64, seed=seed, weights=weights).eval()


def network(teacher: Teacher) -> HybridNetwork:
    assert isinstance(teacher.network, HybridNetwork)
    return teacher.network


def pictures(size: int = 64) -> Tensor:
    return 255 * torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", HYBRIDS)
def test_an_untrained_hybrid_answers_as_the_convolutional_network_does(name: str) -> None:
    convolutional = build_student("mobilenet_v2", classes=3, seed=5).eval()
    with torch.inference_mode():
        torch.testing.assert_close(hybrid(name, seed=5)(pictures()), convolutional(pictures()))


def test_a_trained_convolutional_network_starts_a_hybrid_head_and_all(tmp_path: Path) -> None:
    convolutional = build_student("mobilenet_v2", classes=3, seed=7).eval()
    save_weights(convolutional, tmp_path / "student.safetensors")
    with torch.inference_mode():
        said = hybrid(seed=0, weights=tmp_path / "student.safetensors")(pictures())
        torch.testing.assert_close(said, convolutional(pictures()))


def test_a_file_with_imagenets_classes_starts_the_body(tmp_path: Path) -> None:
    published = build_student("mobilenet_v2", classes=1000, seed=7)
    save_weights(published, tmp_path / "imagenet.safetensors")
    body = network(hybrid(weights=tmp_path / "imagenet.safetensors")).features.state_dict()
    assert all(torch.equal(body[key], value) for key, value in published.features.state_dict().items())


@pytest.mark.parametrize("size", [64, 96, 100, 224])
def test_a_hybrid_takes_any_picture_size_with_a_token_per_16_pixels(size: int) -> None:
    side = -(-size // 16)
    with torch.inference_mode():
        said = teacher_features(hybrid(), pictures(size))
    assert (said.logits.shape, said.tokens.shape) == ((2, 3), (2, side * side, 192))


def test_tokens_lie_row_by_row_where_the_stems_pixels_do() -> None:
    net = network(hybrid())
    stem = torch.zeros(1, 96, 4, 4)
    empty = net.tokens(stem)
    stem[0, :, 1, 2] = 1.0
    moved = (net.tokens(stem) - empty).abs().sum(-1)[0]
    assert moved.nonzero().flatten().tolist() == [1 * 4 + 2]


def test_tokens_of_equal_pixels_differ_by_where_they_are() -> None:
    tokens = network(hybrid()).tokens(torch.ones(1, 96, 4, 4))[0]
    apart = torch.cdist(tokens, tokens) + torch.eye(16) * 1e3
    assert apart.min() > 0.1


def test_what_the_head_learns_lets_the_transformer_speak_and_learn() -> None:
    teacher = hybrid()
    head = network(teacher).classifier[1]
    loss = teacher(pictures()).log_softmax(1)[:, 0].sum()
    loss.backward()
    assert head.weight.grad[:, 1280:].abs().sum() > 0  # the first step moves the head's zeros,
    with torch.no_grad():
        head.weight -= 0.1 * head.weight.grad
    teacher.zero_grad()
    teacher(pictures()).log_softmax(1)[:, 0].sum().backward()
    assert network(teacher).blocks[0].attn.qkv.weight.grad.abs().sum() > 0  # the second the transformer


def test_both_branches_reach_the_answer() -> None:
    teacher = hybrid()
    net = network(teacher)
    torch.nn.init.normal_(net.classifier[1].weight)
    with torch.inference_mode():
        before = teacher(pictures())
        net.norm.weight.zero_()
        without_transformer = teacher(pictures())
        net.features[18].requires_grad_(False)[0].weight.zero_()
        without_either = teacher(pictures())
    assert not torch.allclose(before, without_transformer)
    assert not torch.allclose(without_transformer, without_either)
