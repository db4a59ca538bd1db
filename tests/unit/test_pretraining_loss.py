"""The I-JEPA loss against loops, its gradient's way, the slow copy, and every schedule in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from eyebright_learning.pretraining import build_encoder, smoke_encoder
from eyebright_learning.pretraining.loss import follow, jepa_loss, normalised_targets
from eyebright_learning.pretraining.optimiser import build_optimiser, load_moments, moments, set_step
from eyebright_learning.pretraining.predictor import Predictor
from eyebright_learning.pretraining.schedules import learning_rate_at, momentum_at, weight_decay_at

TARGETS = torch.tensor([[[0, 4], [1, 5]], [[2, 3], [4, 5]]])
RATE = {"steps": 100, "warmup_steps": 20, "start": 2e-4, "peak": 1e-3, "final": 1e-6}


def naive_loss(predicted: np.ndarray, tokens: np.ndarray, targets: np.ndarray) -> float:
    """Mean over blocks of the mean over patches of smooth L1 to the layer-normalised token."""
    total = []
    for b in range(targets.shape[0]):
        for m in range(targets.shape[1]):
            for i, patch in enumerate(targets[b, m]):
                token = tokens[b, patch]
                wanted = (token - token.mean()) / math.sqrt(token.var() + 1e-5)
                gap = np.abs(predicted[b, m, i] - wanted)
                total.append(np.where(gap < 1.0, 0.5 * gap**2, gap - 0.5).mean())
    return float(np.mean(total))


def test_the_loss_is_the_equations() -> None:
    torch.manual_seed(0)
    predicted, tokens = 2.0 * torch.randn(2, 2, 2, 8), 3.0 * torch.randn(2, 6, 8) + 1.0
    found = jepa_loss(predicted, normalised_targets(tokens, TARGETS))
    assert float(found) == pytest.approx(naive_loss(predicted.numpy(), tokens.numpy(), TARGETS.numpy()), rel=1e-5)


def test_a_perfect_prediction_costs_nothing() -> None:
    wanted = normalised_targets(torch.randn(2, 6, 8), TARGETS)
    assert float(jepa_loss(wanted.clone(), wanted)) == 0.0


def test_predicting_nothing_costs_what_the_huber_loss_says() -> None:
    # Tokens of +1 and -1 are their own normalisation: each value is one away from zero, where Huber gives 1/2.
    tokens = torch.tensor([1.0, -1.0]).repeat(2, 6, 4)
    assert float(jepa_loss(torch.zeros(2, 2, 2, 8), normalised_targets(tokens, TARGETS))) == pytest.approx(0.5, 1e-4)


@given(st.floats(0.5, 8.0), st.floats(-5.0, 5.0))
def test_size_and_offset_of_a_target_token_do_not_count(scale: float, offset: float) -> None:
    tokens = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(1))
    moved = normalised_targets(scale * tokens + offset, TARGETS)
    torch.testing.assert_close(moved, normalised_targets(tokens, TARGETS), atol=1e-3, rtol=1e-3)


def test_no_gradient_reaches_the_targets() -> None:
    predicted = torch.randn(2, 2, 2, 8, requires_grad=True)
    tokens = torch.randn(2, 6, 8, requires_grad=True)
    jepa_loss(predicted, normalised_targets(tokens, TARGETS)).backward()
    assert predicted.grad is not None
    assert tokens.grad is None


def test_the_gradient_reaches_every_weight_of_encoder_and_predictor_and_none_of_the_slow_copy() -> None:
    encoder, slow = build_encoder(smoke_encoder()), build_encoder(smoke_encoder(seed=1))
    predictor = Predictor(encoder_width=64, grid=8, width=32, depth=2, heads=2)
    x = 255.0 * torch.rand(2, 3, 64, 64)
    seen, targets = torch.arange(20).expand(2, -1), torch.arange(40, 48).view(1, 2, 4).expand(2, -1, -1)
    jepa_loss(predictor(encoder(x, seen), seen, targets), normalised_targets(slow(x), targets)).backward()
    for network in (encoder, predictor):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert float(parameter.grad.abs().max()) > 0.0, name
    assert all(parameter.grad is None for parameter in slow.parameters())


@pytest.mark.parametrize("momentum", [0.0, 0.9, 1.0])
def test_the_slow_copy_moves_by_the_momentum(momentum: float) -> None:
    slow, fast = nn.Linear(3, 2), nn.Linear(3, 2)
    wanted = momentum * slow.weight.detach() + (1.0 - momentum) * fast.weight.detach()
    follow(slow, fast, momentum=momentum)
    torch.testing.assert_close(slow.weight.detach(), wanted)


def test_the_rate_rises_from_start_to_peak_and_falls_to_its_end() -> None:
    assert learning_rate_at(0, **RATE) == pytest.approx(2e-4 + 8e-4 / 20)
    assert learning_rate_at(9, **RATE) == pytest.approx(6e-4)
    assert learning_rate_at(19, **RATE) == pytest.approx(1e-3)
    assert learning_rate_at(20, **RATE) == pytest.approx(1e-3)
    assert learning_rate_at(60, **RATE) == pytest.approx((1e-3 + 1e-6) / 2)
    assert learning_rate_at(99, **RATE) == pytest.approx(1e-6 + (1e-3 - 1e-6) * math.sin(math.pi / 160) ** 2)


def test_without_warm_up_the_rate_starts_at_its_peak() -> None:
    assert learning_rate_at(0, **{**RATE, "warmup_steps": 0}) == pytest.approx(1e-3)


def test_the_decay_rises_like_half_a_cosine() -> None:
    found = [weight_decay_at(step, steps=100, start=0.04, final=0.4) for step in (0, 50, 100)]
    assert found == pytest.approx([0.04, 0.22, 0.4])


def test_the_momentum_rises_in_a_straight_line_to_one() -> None:
    found = [momentum_at(step, steps=100, start=0.996) for step in (0, 25, 50, 100)]
    assert found == pytest.approx([0.996, 0.997, 0.998, 1.0], abs=1e-12)


@given(st.integers(1, 300))
def test_schedules_never_turn_back(steps: int) -> None:
    decay = [weight_decay_at(s, steps=steps, start=0.04, final=0.4) for s in range(steps)]
    momentum = [momentum_at(s, steps=steps, start=0.99) for s in range(steps)]
    assert decay == sorted(decay)
    assert momentum == sorted(momentum)
    assert momentum[-1] < 1.0


def test_decay_pulls_matrices_and_leaves_biases_alone() -> None:
    layer = nn.Linear(2, 2)
    before = {name: tensor.detach().clone() for name, tensor in layer.named_parameters()}
    optimiser = build_optimiser(layer)
    set_step(optimiser, learning_rate=0.1, weight_decay=0.5)
    for parameter in layer.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    torch.testing.assert_close(layer.weight.detach(), before["weight"] * (1.0 - 0.1 * 0.5))
    assert torch.equal(layer.bias.detach(), before["bias"])


def test_an_optimiser_put_back_goes_on_as_if_nothing_had_happened() -> None:
    def two_steps(*, interrupted: bool) -> torch.Tensor:
        torch.manual_seed(0)
        layer = nn.Linear(3, 2)
        optimiser = build_optimiser(layer)
        for step in range(2):
            if step and interrupted:
                kept = moments(optimiser, layer)
                optimiser = build_optimiser(layer)
                load_moments(optimiser, layer, kept)
            set_step(optimiser, learning_rate=0.1, weight_decay=0.1)
            optimiser.zero_grad()
            layer(torch.ones(1, 3)).square().sum().backward()
            optimiser.step()
        return layer.weight.detach()

    assert torch.equal(two_steps(interrupted=True), two_steps(interrupted=False))
