"""Losses against naive references, closed forms on degenerate inputs, and their symmetries."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from eyebright_learning.distillation import cross_entropy, dist, kd

SEEDS = st.integers(0, 2**31)


def logits(seed: int, rows: int = 8, classes: int = 4, scale: float = 3.0) -> Tensor:
    return scale * torch.randn(rows, classes, generator=torch.Generator().manual_seed(seed))


def naive_softmax(row: list[float], temperature: float) -> list[float]:
    powers = [math.exp(z / temperature) for z in row]
    return [power / sum(powers) for power in powers]


def naive_kd(student: Tensor, teacher: Tensor, temperature: float) -> float:
    total = 0.0
    for s, t in zip(student.tolist(), teacher.tolist(), strict=True):
        p_s, p_t = naive_softmax(s, temperature), naive_softmax(t, temperature)
        total += sum(b * math.log(b / a) for a, b in zip(p_s, p_t, strict=True))
    return temperature**2 * total / len(student)


def naive_dist(student: Tensor, teacher: Tensor, temperature: float) -> float:
    p_s = np.array([naive_softmax(row, temperature) for row in student.tolist()])
    p_t = np.array([naive_softmax(row, temperature) for row in teacher.tolist()])
    inter = np.mean([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(p_s, p_t, strict=True)])
    intra = np.mean([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(p_s.T, p_t.T, strict=True)])
    return float(inter + intra)


@given(SEEDS, st.sampled_from([1.0, 2.0, 4.0]))
def test_kd_is_the_naive_sum(seed: int, temperature: float) -> None:
    student, teacher = logits(seed), logits(seed + 1)
    assert float(kd(student, teacher, temperature=temperature)) == pytest.approx(
        naive_kd(student, teacher, temperature), rel=1e-4, abs=1e-5
    )


@given(SEEDS, st.sampled_from([1.0, 4.0]))
def test_dist_is_the_naive_sum_of_correlations(seed: int, temperature: float) -> None:
    student, teacher = logits(seed), logits(seed + 1)
    expected = naive_dist(student.double(), teacher.double(), temperature)
    assert float(dist(student, teacher, temperature=temperature)) == pytest.approx(expected, abs=1e-4)


def test_kd_of_equal_logits_is_nothing() -> None:
    assert float(kd(logits(0), logits(0), temperature=4.0)) == pytest.approx(0.0, abs=1e-6)


def test_dist_of_equal_logits_is_nothing() -> None:
    assert float(dist(logits(0), logits(0), temperature=4.0)) == pytest.approx(0.0, abs=1e-5)


def test_kd_from_an_even_teacher_to_a_two_class_student_has_a_closed_form() -> None:
    # teacher (1/2, 1/2), student (3/4, 1/4): 1/2 ln(2/3) + 1/2 ln 2 = ln 2 - 1/2 ln 3
    student = torch.tensor([[math.log(3.0), 0.0]])
    assert float(kd(student, torch.zeros(1, 2), temperature=1.0)) == pytest.approx(math.log(2) - 0.5 * math.log(3))


def test_cross_entropy_of_an_ignorant_student_is_the_log_of_the_classes() -> None:
    assert float(cross_entropy(torch.zeros(3, 4), torch.tensor([0, 1, 3]))) == pytest.approx(math.log(4))


def test_cross_entropy_with_weights_is_the_weighted_mean() -> None:
    # Two rows, losses a and b of classes 0 and 1, weights 1 and 3: (a + 3 b) / 4.
    student = torch.tensor([[2.0, 0.0], [2.0, 0.0]])
    a, b = math.log(1 + math.exp(-2.0)), 2.0 + math.log(1 + math.exp(-2.0))
    loss = cross_entropy(student, torch.tensor([0, 1]), class_weights=torch.tensor([1.0, 3.0]))
    assert float(loss) == pytest.approx((a + 3 * b) / 4)


def test_kd_of_opposite_dist_relations_is_at_its_worst() -> None:
    # Two classes: a row's correlation is +1 or -1, so swapped logits give 1 - (-1) in rows and in columns.
    teacher = torch.tensor([[3.0, 0.0], [0.0, 1.0]])
    assert float(dist(teacher.flip(1), teacher)) == pytest.approx(4.0, abs=1e-5)


@given(SEEDS, st.permutations(range(4)), st.permutations(range(8)))
def test_losses_do_not_know_the_names_of_classes_or_the_order_of_pictures(
    seed: int, classes: list[int], rows: list[int]
) -> None:
    student, teacher = logits(seed), logits(seed + 1)
    moved_student, moved_teacher = student[rows][:, classes], teacher[rows][:, classes]
    for loss in (kd(student, teacher, temperature=4.0), dist(student, teacher)):
        assert torch.isfinite(loss)
    torch.testing.assert_close(
        kd(moved_student, moved_teacher, temperature=4.0), kd(student, teacher, temperature=4.0), atol=1e-5, rtol=1e-4
    )
    torch.testing.assert_close(dist(moved_student, moved_teacher), dist(student, teacher), atol=1e-5, rtol=1e-4)


@given(SEEDS, st.floats(-50, 50))
def test_adding_a_constant_to_all_logits_of_a_picture_changes_nothing(seed: int, constant: float) -> None:
    student, teacher = logits(seed), logits(seed + 1)
    torch.testing.assert_close(
        kd(student + constant, teacher, temperature=2.0), kd(student, teacher, temperature=2.0), atol=1e-4, rtol=1e-3
    )
    torch.testing.assert_close(dist(student, teacher + constant), dist(student, teacher), atol=1e-4, rtol=1e-3)


def test_dist_of_two_identical_arguments_swapped_is_symmetric() -> None:
    a, b = logits(1), logits(2)
    torch.testing.assert_close(dist(a, b), dist(b, a))


@pytest.mark.parametrize(
    ("student", "teacher"),
    [
        (torch.zeros(4, 4), logits(1, rows=4)),
        (logits(1, rows=4), torch.zeros(4, 4)),
        (torch.zeros(4, 4), torch.zeros(4, 4)),
        (logits(1, rows=1), logits(2, rows=1)),
    ],
    ids=["ignorant student", "ignorant teacher", "both", "one picture"],
)
def test_dist_without_variance_is_finite_and_so_is_its_gradient(student: Tensor, teacher: Tensor) -> None:
    student = student.clone().requires_grad_()
    loss = dist(student, teacher)
    loss.backward()
    assert torch.isfinite(loss)
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


def test_dist_counts_what_has_no_variance_as_uncorrelated() -> None:
    assert float(dist(torch.zeros(4, 4), logits(1, rows=4))) == pytest.approx(2.0)


def test_the_teacher_gets_no_gradient() -> None:
    student, teacher = logits(1).requires_grad_(), logits(2).requires_grad_()
    (kd(student, teacher, temperature=4.0) + dist(student, teacher)).backward()
    assert teacher.grad is None
    assert student.grad is not None


def test_t_squared_keeps_the_gradients_size_at_high_temperature() -> None:
    # In the limit of large T the gradient is (z_S - z_T) / C for centred logits, whatever T is.
    student = (logits(1) - logits(1).mean(1, keepdim=True)).requires_grad_()
    teacher = logits(2) - logits(2).mean(1, keepdim=True)
    (gradient,) = torch.autograd.grad(kd(student, teacher, temperature=1000.0), student)
    torch.testing.assert_close(gradient, (student.detach() - teacher) / 4 / 8, atol=1e-3, rtol=1e-2)
