"""Losses on features against naive references, closed forms and symmetries; and where their gradients go."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from eyebright_learning.distillation import Adversary, GroupLinear, PartiallyCrossAttention, group_linear
from eyebright_learning.distillation.adversarial import deception, discrimination
from eyebright_learning.distillation.group_linear import groups
from eyebright_learning.distillation.partially_cross_attention import attend, relations, swapped
from eyebright_learning.distillation.token_grid import in_rows, on_grid
from eyebright_learning.models.features import FeatureTargets

SEEDS = st.integers(0, 2**31)
SCALE = 0.25
Array = npt.NDArray[np.float64]


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def targets(seed: int = 0, *, batch: int = 2, side: int = 3, width: int = 4) -> FeatureTargets:
    tokens, query, key, value = (normal(seed + i, batch, side * side, width) for i in range(4))
    return FeatureTargets(tokens, query, key, value, SCALE)


def naive_attend(query: Array, key: Array, value: Array) -> Array:
    """One token at a time."""
    out = np.zeros_like(value)
    for b, i in np.ndindex(query.shape[:2]):
        powers = np.array([math.exp(SCALE * sum(query[b, i] * key[b, j])) for j in range(key.shape[1])])
        out[b, i] = sum(power / powers.sum() * value[b, j] for j, power in enumerate(powers))
    return out


def naive_relations(value: Array) -> Array:
    return np.array([[[SCALE * sum(a * b) for b in rows] for a in rows] for rows in value])


@pytest.mark.parametrize(("height", "side"), [(14, 7), (6, 3), (6, 4), (14, 14), (5, 7)])
def test_a_map_on_the_tokens_grid_is_adaptively_averaged(height: int, side: int) -> None:
    tap = normal(0, 2, 3, height, height)
    torch.testing.assert_close(on_grid(tap, side), F.adaptive_avg_pool2d(tap, side))


def test_a_grid_lies_in_rows_as_the_teachers_tokens_do() -> None:
    grid = torch.arange(4.0).view(1, 1, 2, 2)
    assert in_rows(grid).flatten().tolist() == [0.0, 1.0, 2.0, 3.0]


@given(SEEDS)
def test_attention_is_the_naive_softmax_of_scores_times_values(seed: int) -> None:
    query, key, value = (normal(seed + i, 2, 5, 4).double() for i in range(3))
    expected = naive_attend(query.numpy(), key.numpy(), value.numpy())
    np.testing.assert_allclose(attend(query, key, value, scale=SCALE).numpy(), expected, atol=1e-8)


def test_attention_without_scores_is_the_mean_of_the_values() -> None:
    value = normal(0, 1, 5, 4)
    attended = attend(torch.zeros(1, 5, 4), normal(1, 1, 5, 4), value, scale=SCALE)
    torch.testing.assert_close(attended, value.mean(1, keepdim=True).expand(1, 5, 4))


def test_relations_are_scaled_inner_products_of_values() -> None:
    value = normal(0, 2, 5, 4)
    np.testing.assert_allclose(relations(value, SCALE).numpy(), naive_relations(value.double().numpy()), atol=1e-6)


def test_about_half_of_the_elements_are_the_teachers() -> None:
    torch.manual_seed(0)
    mixed = swapped(torch.zeros(8, 36, 64), torch.ones(8, 36, 64))
    assert set(mixed.unique().tolist()) == {0.0, 1.0}
    assert float(mixed.mean()) == pytest.approx(0.5, abs=0.02)


def test_replacement_is_the_seeds() -> None:
    def drawn(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return swapped(torch.zeros(100), torch.ones(100))

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_partially_cross_attention_is_the_two_naive_means() -> None:
    torch.manual_seed(0)
    projector, grid, seen = PartiallyCrossAttention(5, 4), normal(9, 2, 5, 3, 3), targets()
    student = projector.project(grid)
    torch.manual_seed(1)
    loss = projector(grid, seen)
    torch.manual_seed(1)
    mixed = [swapped(s, t) for s, t in zip(student, (seen.query, seen.key, seen.value), strict=True)]
    q, k, v = (x.detach().double().numpy() for x in mixed)
    q_t, k_t, v_t = (x.double().numpy() for x in (seen.query, seen.key, seen.value))
    v_s = student[2].detach().double().numpy()
    expected = np.square(naive_attend(q_t, k_t, v_t) - naive_attend(q, k, v)).mean()
    expected += np.square(naive_relations(v_t) - naive_relations(v_s)).mean()
    assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-5)


def test_the_projection_is_three_separate_convolutions_of_the_map() -> None:
    projector, grid = PartiallyCrossAttention(5, 4), normal(9, 2, 5, 3, 3)
    for part, projected in enumerate(projector.project(grid)):
        rows = slice(4 * part, 4 * part + 4)
        alone = F.conv2d(grid, projector.qkv.weight[rows], projector.qkv.bias[rows], padding=1)
        torch.testing.assert_close(projected, in_rows(alone))


def test_a_student_that_projects_to_the_teachers_features_has_no_loss() -> None:
    class Knows(PartiallyCrossAttention):
        def project(self, grid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            return seen.query, seen.key, seen.value

    seen = targets()
    assert float(Knows(5, 4)(normal(9, 2, 5, 3, 3), seen)) == pytest.approx(0.0, abs=1e-10)


def test_fourteen_by_fourteen_tokens_fall_into_sixteen_neighbourhoods() -> None:
    laid_out = groups(14).view(14, 14)
    assert sorted(laid_out.unique().tolist()) == list(range(16))
    for number in range(16):  # each a block without holes, three or four a side
        rows, columns = torch.nonzero(laid_out == number, as_tuple=True)
        sides = [int(x.max() - x.min()) + 1 for x in (rows, columns)]
        assert len(rows) == sides[0] * sides[1]
        assert set(sides) <= {3, 4}


@pytest.mark.parametrize(("side", "count"), [(1, 1), (2, 4), (3, 9), (4, 16), (6, 16), (7, 16)])
def test_a_small_grid_has_fewer_tokens_per_neighbourhood_or_fewer_neighbourhoods(side: int, count: int) -> None:
    assert sorted(groups(side).unique().tolist()) == list(range(count))


def test_each_token_goes_through_the_layer_of_its_neighbourhood() -> None:
    layers, grid = GroupLinear(5, 4, 6).eval(), normal(1, 2, 5, 6, 6)
    projected = layers(grid).detach().numpy()
    weight, bias = layers.weight.detach().numpy(), layers.bias.detach().numpy()
    for b, i, j in np.ndindex(2, 6, 6):
        group = (i * 4 // 6) * 4 + j * 4 // 6
        expected = grid[b, :, i, j].numpy() @ weight[group] + bias[group]
        np.testing.assert_allclose(projected[b, i * 6 + j], expected, atol=1e-5)


def test_neighbourhoods_start_at_the_mean_of_their_teacher_tokens() -> None:
    layers, tokens = GroupLinear(5, 4, 6), normal(1, 2, 36, 4)
    layers.start_from(tokens)
    band = np.arange(6) * 4 // 6
    number = (band[:, None] * 4 + band).ravel()
    for group in range(16):
        expected = tokens.numpy()[:, number == group].mean(axis=(0, 1))
        np.testing.assert_allclose(layers.bias[group].detach().numpy(), expected, atol=1e-6)


def test_queries_keys_and_values_start_at_the_teachers_means() -> None:
    projector, seen = PartiallyCrossAttention(5, 4), targets()
    projector.start_from(seen)
    empty = torch.zeros(2, 5, 3, 3)
    for projected, part in zip(projector.project(empty), (seen.query, seen.key, seen.value), strict=True):
        torch.testing.assert_close(projected, part.mean((0, 1)).expand(2, 9, 4))


def test_dropout_is_on_in_training_alone() -> None:
    layers, grid = GroupLinear(5, 4, 3), normal(1, 2, 5, 3, 3)
    torch.manual_seed(0)
    assert not torch.equal(layers(grid), layers(grid))
    layers.eval()
    assert torch.equal(layers(grid), layers(grid))


def test_the_group_linear_loss_is_the_mean_square() -> None:
    a, b = normal(1, 2, 9, 4), normal(2, 2, 9, 4)
    expected = np.square(a.double().numpy() - b.double().numpy()).mean()
    assert float(group_linear(a, b)) == pytest.approx(float(expected), rel=1e-5)


def test_a_discriminator_that_cannot_tell_has_closed_form_losses() -> None:
    zeros = torch.zeros(2, 9, 1)
    assert float(discrimination(zeros, zeros)) == pytest.approx(2 * math.log(2))
    assert float(deception(zeros)) == pytest.approx(math.log(2))


@given(SEEDS)
def test_adversarial_losses_are_the_logs_of_the_paper(seed: int) -> None:
    student, teacher = normal(seed, 2, 9, 1), normal(seed + 1, 2, 9, 1)
    d_s, d_t = (1 / (1 + np.exp(-x.double().numpy())) for x in (student, teacher))
    assert float(discrimination(student, teacher)) == pytest.approx(
        float((-np.log(d_t)).mean() + (-np.log(1 - d_s)).mean()), rel=1e-5
    )
    assert float(deception(student)) == pytest.approx(float((-np.log(d_s)).mean()), rel=1e-5)


def test_a_discriminator_learns_to_tell_and_a_token_moved_against_it_fools_it() -> None:
    torch.manual_seed(0)
    adversary, teacher = Adversary(4), normal(1, 8, 9, 4)
    student = (normal(2, 8, 9, 4) + 3.0).requires_grad_()
    losses = [float(adversary.learn(student, teacher)) for _ in range(400)]
    assert losses[-1] < 0.5 * losses[0]
    before = adversary.fool(student)
    (gradient,) = torch.autograd.grad(before, student)
    moved = student.detach() - 100.0 * gradient
    assert float(adversary.fool(moved)) < float(before.detach())


def test_the_discriminators_step_leaves_the_student_alone_and_the_students_term_the_discriminator() -> None:
    adversary, teacher = Adversary(4), normal(1, 2, 9, 4).requires_grad_()
    student = normal(2, 2, 9, 4).requires_grad_()
    start = [p.detach().clone() for p in adversary.parameters()]
    adversary.learn(student, teacher)
    assert student.grad is None
    assert teacher.grad is None
    learnt = [p.detach().clone() for p in adversary.parameters()]
    assert not any(torch.equal(a, b) for a, b in zip(start, learnt, strict=True))
    adversary._optimiser.zero_grad()
    adversary.fool(student).backward()
    assert all(p.grad is None for p in adversary.parameters())
    assert student.grad is not None
    assert student.grad.abs().sum() > 0


def test_feature_losses_teach_the_map_and_not_the_teacher() -> None:
    for name in ("pca", "gl"):
        seen = FeatureTargets(*(x.requires_grad_() for x in targets()[:4]), SCALE)
        grid = normal(9, 2, 5, 3, 3).requires_grad_()
        loss = (
            PartiallyCrossAttention(5, 4)(grid, seen)
            if name == "pca"
            else group_linear(GroupLinear(5, 4, 3)(grid), seen.tokens)
        )
        loss.backward()
        assert grid.grad is not None
        assert grid.grad.abs().sum() > 0
        assert all(x.grad is None for x in seen[:4])
