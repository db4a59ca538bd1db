"""Decoupled distillation and the focal loss against naive references, closed forms and identities."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from eyebright_learning.distillation import cross_entropy, dkd, focal, kd

SEEDS = st.integers(0, 2**31)
LABELS = torch.arange(8) % 4


def logits(seed: int, rows: int = 8, classes: int = 4, scale: float = 3.0) -> Tensor:
    return scale * torch.randn(rows, classes, generator=torch.Generator().manual_seed(seed))


def naive_dkd(
    student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, alpha: float, beta: float
) -> tuple[float, float]:
    """Return alpha TCKD and beta NCKD, each with T^2, summed class by class as the paper writes them."""
    tckd = nckd = 0.0
    for s, t, label in zip(student.tolist(), teacher.tolist(), labels.tolist(), strict=True):
        e_s, e_t = ([math.exp(z / temperature) for z in row] for row in (s, t))
        p_s, p_t = e_s[label] / sum(e_s), e_t[label] / sum(e_t)
        tckd += p_t * math.log(p_t / p_s) + (1 - p_t) * math.log((1 - p_t) / (1 - p_s))
        others = [i for i in range(len(s)) if i != label]
        rest_s, rest_t = sum(e_s[i] for i in others), sum(e_t[i] for i in others)
        nckd += sum(e_t[i] / rest_t * math.log((e_t[i] / rest_t) / (e_s[i] / rest_s)) for i in others)
    scale = temperature**2 / len(student)
    return alpha * tckd * scale, beta * nckd * scale


@given(SEEDS, st.sampled_from([1.0, 4.0]), st.sampled_from([(1.0, 2.0), (0.0, 1.0), (1.0, 0.0)]))
def test_dkd_is_the_naive_sum(seed: int, temperature: float, weights: tuple[float, float]) -> None:
    student, teacher = logits(seed), logits(seed + 1)
    expected = sum(naive_dkd(student.double(), teacher.double(), LABELS, temperature, *weights))
    found = dkd(student, teacher, LABELS, temperature=temperature, alpha=weights[0], beta=weights[1])
    assert float(found) == pytest.approx(expected, rel=1e-3, abs=1e-4)


@given(SEEDS)
def test_plain_kd_is_the_target_half_and_the_other_half_muted_by_the_teachers_confidence(seed: int) -> None:
    student, teacher, label = logits(seed, rows=1), logits(seed + 1, rows=1), torch.tensor([2])
    muted = float(1 - torch.softmax(teacher / 4.0, 1)[0, 2])
    together = dkd(student, teacher, label, temperature=4.0, alpha=1.0, beta=muted)
    assert float(together) == pytest.approx(float(kd(student, teacher, temperature=4.0)), rel=1e-3, abs=1e-4)


def test_dkd_of_equal_logits_is_nothing() -> None:
    assert float(dkd(logits(0), logits(0), LABELS, temperature=4.0)) == pytest.approx(0.0, abs=1e-6)


def test_with_two_classes_only_the_target_half_of_dkd_is_left() -> None:
    # One other class: q is 1 on both sides. teacher (1/2, 1/2), student (3/4, 1/4): ln 2 - 1/2 ln 3, as for plain KD.
    student = torch.tensor([[math.log(3.0), 0.0]])
    loss = dkd(student, torch.zeros(1, 2), torch.tensor([0]), temperature=1.0, alpha=1.0, beta=7.0)
    assert float(loss) == pytest.approx(math.log(2) - 0.5 * math.log(3))


@given(SEEDS, st.permutations(range(4)), st.permutations(range(8)))
def test_dkd_does_not_know_the_names_of_classes_or_the_order_of_pictures(
    seed: int, classes: list[int], rows: list[int]
) -> None:
    student, teacher = logits(seed), logits(seed + 1)
    renamed = torch.tensor([classes.index(int(label)) for label in LABELS])
    moved = dkd(student[rows][:, classes], teacher[rows][:, classes], renamed[rows], temperature=4.0)
    torch.testing.assert_close(moved, dkd(student, teacher, LABELS, temperature=4.0), atol=1e-5, rtol=1e-4)


def test_dkd_of_very_sure_logits_is_finite_and_so_is_its_gradient() -> None:
    student = logits(1, scale=200.0).requires_grad_()
    loss = dkd(student, logits(2, scale=200.0), LABELS, temperature=1.0)
    (gradient,) = torch.autograd.grad(loss, student)
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient).all()


def test_dkd_teaches_the_student_and_not_the_teacher() -> None:
    student, teacher = logits(1).requires_grad_(), logits(2).requires_grad_()
    dkd(student, teacher, LABELS, temperature=4.0).backward()
    assert teacher.grad is None
    assert student.grad is not None
    assert student.grad.abs().sum() > 0


def naive_focal(student: Tensor, labels: Tensor, gamma: float, weights: list[float]) -> float:
    top = bottom = 0.0
    for row, label in zip(student.tolist(), labels.tolist(), strict=True):
        powers = [math.exp(z) for z in row]
        p = powers[label] / sum(powers)
        top += weights[label] * (1 - p) ** gamma * -math.log(p)
        bottom += weights[label]
    return top / bottom


@given(SEEDS, st.sampled_from([0.5, 1.0, 2.0, 5.0]))
def test_focal_is_the_naive_sum_and_weights_do_not_enter_p(seed: int, gamma: float) -> None:
    student, weights = logits(seed), [0.5, 1.0, 2.0, 4.0]
    found = focal(student, LABELS, gamma=gamma, class_weights=torch.tensor(weights))
    assert float(found) == pytest.approx(naive_focal(student.double(), LABELS, gamma, weights), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 1.0, 2.0, 4.0])], ids=["even", "weighted"])
def test_focal_without_focus_is_the_cross_entropy(weights: Tensor | None) -> None:
    torch.testing.assert_close(
        focal(logits(1), LABELS, gamma=0.0, class_weights=weights),
        cross_entropy(logits(1), LABELS, class_weights=weights),
    )


def test_an_even_guess_of_two_classes_has_a_closed_form() -> None:
    # p = 1/2, gamma = 2: (1/2)^2 ln 2
    assert float(focal(torch.zeros(3, 2), torch.tensor([0, 1, 1]), gamma=2.0)) == pytest.approx(0.25 * math.log(2))


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_a_picture_that_is_certainly_right_gives_no_loss_and_a_finite_gradient(gamma: float) -> None:
    student = torch.tensor([[200.0, 0.0]], requires_grad=True)
    loss = focal(student, torch.tensor([0]), gamma=gamma)
    (gradient,) = torch.autograd.grad(loss, student)
    assert float(loss.detach()) == pytest.approx(0.0, abs=1e-6)
    assert torch.isfinite(gradient).all()


def test_focal_cares_less_for_what_is_right_already() -> None:
    student = torch.tensor([[2.0, 0.0], [0.0, 2.0]], requires_grad=True)
    labels = torch.tensor([0, 0])
    (focused,) = torch.autograd.grad(focal(student, labels, gamma=2.0), student)
    (plain,) = torch.autograd.grad(F.cross_entropy(student, labels), student)
    easy, hard = (focused / plain).abs().mean(1)
    assert easy < 0.2 * hard
