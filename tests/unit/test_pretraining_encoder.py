"""The encoder: positions as defined, parts of a picture without the rest, weights a teacher starts from."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import timm
import torch

from eyebright_common.errors import InputError
from eyebright_learning.models import build_teacher
from eyebright_learning.models.normalise import Normalise
from eyebright_learning.models.timm_teacher import MEAN_POOLED
from eyebright_learning.pretraining import (
    Encoder,
    EncoderConfig,
    build_encoder,
    save_encoder,
    smoke_encoder,
    teacher_state,
)
from eyebright_learning.pretraining.positions import sine_cosine_positions
from eyebright_learning.pretraining.predictor import Predictor, target_tokens


def pictures(count: int = 2, size: int = 64) -> torch.Tensor:
    return 255.0 * torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def small() -> Encoder:
    return build_encoder(smoke_encoder()).eval()


@pytest.mark.parametrize(("grid", "width", "reference"), [(4, 8, None), (7, 12, None), (8, 8, 4), (3, 16, 6)])
def test_positions_are_the_sines_and_cosines_of_the_definition(grid: int, width: int, reference: int | None) -> None:
    wanted = np.zeros((grid * grid, width))
    quarter, unit = width // 4, (reference or grid) / grid
    for i in range(grid):
        for j in range(grid):
            for k in range(quarter):
                frequency = 10000 ** (-k / quarter)
                row, column = (i + 0.5) * unit - 0.5, (j + 0.5) * unit - 0.5
                wanted[i * grid + j, k] = math.sin(row * frequency)
                wanted[i * grid + j, quarter + k] = math.cos(row * frequency)
                wanted[i * grid + j, 2 * quarter + k] = math.sin(column * frequency)
                wanted[i * grid + j, 3 * quarter + k] = math.cos(column * frequency)
    found = sine_cosine_positions(grid, width, reference=reference)
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-6)


def test_all_positions_of_a_large_grid_differ() -> None:
    positions = sine_cosine_positions(32, 64)
    assert float(torch.cdist(positions, positions).fill_diagonal_(1.0).min()) > 0.1


def test_a_width_that_positions_cannot_fill_is_refused() -> None:
    with pytest.raises(InputError, match="multiple of 4"):
        sine_cosine_positions(4, 10)


def test_seeing_all_patches_is_seeing_the_picture() -> None:
    encoder, x = small(), pictures()
    everything = torch.arange(64).expand(2, -1)
    torch.testing.assert_close(encoder(x, everything), encoder(x))


def test_tokens_follow_their_patches_in_any_order() -> None:
    encoder, x = small(), pictures()
    keep = torch.tensor([[3, 17, 40, 63], [0, 5, 9, 33]])
    shuffled = keep[:, [2, 0, 3, 1]]
    torch.testing.assert_close(encoder(x, shuffled), encoder(x, keep)[:, [2, 0, 3, 1]])


def test_what_is_not_kept_has_no_influence() -> None:
    encoder, x = small(), pictures(1)
    keep = torch.tensor([[0, 1, 8, 9]])  # the upper left 16 x 16 pixels
    changed = x.clone()
    changed[..., 16:, :] = 0.0
    changed[..., :, 16:] = 255.0
    assert torch.equal(encoder(x, keep), encoder(changed, keep))
    assert not torch.equal(encoder(x), encoder(changed))


def test_an_encoder_takes_pictures_of_another_size() -> None:
    assert small()(pictures(size=96)).shape == (2, 144, 64)


def test_a_picture_the_patch_does_not_divide_is_refused() -> None:
    with pytest.raises(InputError, match="does not divide"):
        small()(pictures(size=60))
    with pytest.raises(InputError, match="divide"):
        build_encoder(EncoderConfig(architecture="test_vit", image_size=60, patch_size=8))


@pytest.mark.parametrize("name", ["resnet18", "no_such_network", "vit_tiny_r_s16_p8_224"])
def test_other_networks_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="plain vision transformer"):
        build_encoder(EncoderConfig(architecture=name, image_size=64))


def test_the_same_seed_gives_the_same_encoder_whatever_was_drawn_before() -> None:
    first = small().state_dict()
    torch.rand(7)
    assert all(torch.equal(tensor, first[name]) for name, tensor in small().state_dict().items())


@pytest.mark.parametrize("size", [64, 96])
def test_a_mean_pooled_teacher_starts_with_the_encoders_features(size: int) -> None:
    encoder = small()
    network = timm.create_model("test_vit", img_size=size, patch_size=8, num_classes=4, **MEAN_POOLED).eval()
    missing, surplus = network.load_state_dict(teacher_state(encoder, image_size=size), strict=False)
    assert (missing, surplus) == (["head.weight", "head.bias"], [])
    x = pictures(size=size)
    settings = network.pretrained_cfg
    features = network.forward_head(
        network.forward_features(Normalise(settings["mean"], settings["std"])(x)), pre_logits=True
    )
    torch.testing.assert_close(features, encoder.pooled(x), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_build_teacher_starts_from_the_saved_encoder(tmp_path: Path) -> None:
    name, size = "vit_base_patch16_gap_224", 32
    encoder = build_encoder(EncoderConfig(architecture=name, image_size=size)).eval()
    save_encoder(encoder, tmp_path / "encoder.safetensors")
    teacher = build_teacher(name, classes=4, image_size=size, seed=1, weights=tmp_path / "encoder.safetensors").eval()
    x = pictures(1, size)
    with torch.no_grad():
        features = teacher.network.forward_head(teacher.network.forward_features(teacher.normalise(x)), pre_logits=True)
        torch.testing.assert_close(features, encoder.pooled(x), rtol=1e-4, atol=1e-4)


def predictor() -> Predictor:
    torch.manual_seed(0)
    return Predictor(encoder_width=64, grid=8, width=32, depth=2, heads=2).eval()


def test_the_predictor_answers_for_every_target_patch() -> None:
    context, seen = torch.randn(2, 5, 64), torch.arange(5).expand(2, -1)
    targets = torch.tensor([[[10, 11], [20, 21], [30, 31]]] * 2)
    assert predictor()(context, seen, targets).shape == (2, 3, 2, 64)


def test_one_targets_prediction_does_not_depend_on_the_other_targets() -> None:
    net = predictor()
    context, seen = torch.randn(1, 5, 64), torch.arange(5).expand(1, -1)
    together = net(context, seen, torch.tensor([[[10, 11], [20, 21]]]))
    alone = net(context, seen, torch.tensor([[[20, 21]]]))
    torch.testing.assert_close(together[:, 1:], alone)


def test_the_predictor_knows_where_context_and_targets_are() -> None:
    net = predictor()
    context, seen = torch.randn(1, 5, 64), torch.arange(5).expand(1, -1)
    here = net(context, seen, torch.tensor([[[10, 11]]]))
    assert not torch.allclose(here, net(context, seen, torch.tensor([[[50, 51]]])))
    assert not torch.allclose(here, net(context, seen.flip(1), torch.tensor([[[10, 11]]])))


def test_a_predictor_width_the_heads_do_not_divide_is_refused() -> None:
    with pytest.raises(InputError, match="predictor_width"):
        Predictor(encoder_width=64, grid=8, width=30, depth=1, heads=4)


def test_target_tokens_are_those_at_the_targets() -> None:
    tokens = torch.randn(2, 9, 4)
    targets = torch.tensor([[[0, 8], [3, 4]], [[1, 1], [7, 2]]])
    found = target_tokens(tokens, targets)
    for b in range(2):
        for m in range(2):
            for i in range(2):
                assert torch.equal(found[b, m, i], tokens[b, targets[b, m, i]])
