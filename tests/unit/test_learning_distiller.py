"""The distiller: what a recipe makes of a batch, whose weights it moves, and what it keeps to itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from eyebright_common.errors import InputError
from eyebright_learning.distillation import Distiller, Recipe
from eyebright_learning.models import build_student
from eyebright_learning.models.features import FeatureTargets

LABELS = torch.arange(8) % 4
ALL = Recipe(dkd=0.5, pca=0.05, gl=0.04, adversarial=0.03)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def features(seed: int = 0) -> FeatureTargets:
    tokens, query, key, value = (normal(100 + seed + i, 8, 9, 4) for i in range(4))
    return FeatureTargets(tokens, query, key, value, 0.25)


def distiller(recipe: Recipe, *, seed: int = 0, channels: int = 5) -> Distiller:
    torch.manual_seed(seed)
    return Distiller(recipe, tap_channels=channels, feature_shape=(9, 4))


def loss(made: Distiller, *, tap: Tensor | None = None, seed: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
    seen = None if tap is None else features(seed)
    return made.loss(normal(1, 8, 4), LABELS, targets=normal(2, 8, 4), tap=tap, features=seen)


def test_parts_are_added_by_their_weights() -> None:
    total, parts = loss(Distiller(Recipe(ce=0.3, kd=0.7, dist=1.0, dkd=0.5)))
    assert set(parts) == {"ce", "kd", "dist", "dkd"}
    expected = 0.3 * parts["ce"] + 0.7 * parts["kd"] + parts["dist"] + 0.5 * parts["dkd"]
    assert float(total.detach()) == pytest.approx(float(expected))


def test_labels_alone_are_the_cross_entropy_alone() -> None:
    total, parts = Distiller(Recipe.supervised()).loss(normal(1, 8, 4), LABELS)
    assert set(parts) == {"ce"}
    assert float(total.detach()) == float(parts["ce"])


def test_focal_takes_the_place_of_cross_entropy_under_its_weight() -> None:
    total, parts = Distiller(Recipe(ce=0.5, kd=0.0, dist=0.0, focal=2.0)).loss(normal(1, 8, 4), LABELS)
    assert set(parts) == {"focal"}
    assert float(total.detach()) == pytest.approx(0.5 * float(parts["focal"]))


def test_class_weights_weigh_the_term_on_labels() -> None:
    weights = torch.tensor([1.0, 0.0, 0.0, 0.0])
    total, _ = Distiller(Recipe.supervised(), class_weights=weights).loss(normal(1, 8, 4), LABELS)
    only_first, _ = Distiller(Recipe.supervised()).loss(normal(1, 8, 4)[LABELS == 0], LABELS[LABELS == 0])
    assert float(total.detach()) == pytest.approx(float(only_first))


def test_the_logarithm_of_the_shares_is_added_under_the_term_on_labels_alone() -> None:
    prior = torch.tensor([0.7, 0.2, 0.05, 0.05]).log()
    made, student, targets = Distiller(Recipe(), log_prior=prior), normal(1, 8, 4), normal(2, 8, 4)
    _, parts = made.loss(student, LABELS, targets=targets)
    _, plain = Distiller(Recipe()).loss(student, LABELS, targets=targets)
    by_hand = -torch.log_softmax(student + prior, dim=1)[torch.arange(8), LABELS].mean()
    assert float(parts["ce"]) == pytest.approx(float(by_hand), rel=1e-6)
    assert float(parts["ce"]) != pytest.approx(float(plain["ce"]))
    assert (parts["kd"], parts["dist"]) == (plain["kd"], plain["dist"])


def test_distillation_without_targets_is_refused() -> None:
    with pytest.raises(InputError, match="kd and dist without teacher targets"):
        Distiller(Recipe()).loss(normal(1, 8, 4), LABELS)


def test_terms_on_features_without_their_shape_are_refused() -> None:
    with pytest.raises(InputError, match="pca without teacher features"):
        Distiller(Recipe(pca=0.05), tap_channels=5)


def test_terms_on_features_start_at_their_weight_and_parts_are_reported_as_they_are() -> None:
    tap = normal(3, 8, 5, 6, 6)
    plain, _ = loss(distiller(ALL))
    total, parts = loss(distiller(ALL), tap=tap)
    assert float(total.detach()) == pytest.approx(float(plain.detach()) + 0.05 + 0.04 + 0.03, abs=1e-5)
    assert set(parts) == {"ce", "kd", "dist", "dkd", "pca", "gl", "adversarial", "discriminator"}
    assert all(not part.requires_grad for part in parts.values())


def test_later_batches_are_measured_by_the_first() -> None:
    recipe = Recipe(gl=0.04)
    made, tap = distiller(recipe).eval(), normal(3, 8, 5, 6, 6)
    plain, _ = loss(made)
    _, first = loss(made, tap=tap)
    total, second = loss(made, tap=normal(4, 8, 5, 6, 6), seed=50)
    assert float(second["gl"]) != pytest.approx(float(first["gl"]))
    assert float(total.detach()) == pytest.approx(float(plain.detach() + 0.04 * second["gl"] / first["gl"]), abs=1e-5)


def test_only_the_first_batch_sets_where_projectors_start() -> None:
    made, tap = distiller(ALL), normal(3, 8, 5, 6, 6)
    fresh = [p.detach().clone() for p in made.projector_parameters()]
    loss(made, tap=tap)
    started = [p.detach().clone() for p in made.projector_parameters()]
    loss(made, tap=tap, seed=50)
    assert not all(torch.equal(a, b) for a, b in zip(fresh, started, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(started, made.projector_parameters(), strict=True))


def test_a_view_without_features_learns_from_logits_alone() -> None:
    total, parts = loss(distiller(ALL))
    plain, _ = loss(Distiller(Recipe(dkd=0.5)))
    assert set(parts) == {"ce", "kd", "dist", "dkd"}
    assert torch.equal(total, plain)


def test_the_same_seed_gives_the_same_projectors_replacement_and_loss() -> None:
    tap = normal(3, 8, 5, 6, 6)
    assert torch.equal(loss(distiller(ALL), tap=tap)[0], loss(distiller(ALL), tap=tap)[0])
    assert not torch.equal(loss(distiller(ALL), tap=tap)[1]["pca"], loss(distiller(ALL, seed=1), tap=tap)[1]["pca"])


@pytest.mark.parametrize("knobs", [{"pca": 0.05}, {"gl": 0.05}, {"gl": 1e-12, "adversarial": 1.0}])
def test_each_term_on_features_reaches_the_students_first_convolution(knobs: dict[str, float]) -> None:
    student = build_student("mobilenet_v2", classes=4, seed=0)
    output = student.forward_all(255.0 * torch.rand(8, 3, 32, 32))
    made = distiller(Recipe(**knobs), channels=output.tap.shape[1])
    # Logits are cut off, so that a gradient in the body can only have come through the tap.
    total, _ = made.loss(output.logits.detach(), LABELS, targets=normal(2, 8, 4), tap=output.tap, features=features())
    total.backward()
    first = next(student.features.parameters())
    assert first.grad is not None
    assert first.grad.abs().max() > 1e-7
    assert student.head.weight.grad is None


@pytest.mark.parametrize("knobs", [{"ce": 1.0}, {"kd": 1.0}, {"dist": 1.0}, {"dkd": 1.0}, {"ce": 1.0, "focal": 2.0}])
def test_each_term_on_logits_reaches_the_students_first_convolution(knobs: dict[str, float]) -> None:
    student = build_student("mobilenet_v2", classes=4, seed=0)
    made = Distiller(Recipe(**{"ce": 0.0, "kd": 0.0, "dist": 0.0, **knobs}))
    total, _ = made.loss(student(255.0 * torch.rand(8, 3, 32, 32)), LABELS, targets=normal(2, 8, 4))
    total.backward()
    first = next(student.features.parameters())
    assert first.grad is not None
    assert first.grad.abs().max() > 0


def test_no_term_reaches_the_teachers_targets() -> None:
    seen = FeatureTargets(*(x.requires_grad_() for x in features()[:4]), 0.25)
    teacher, tap = normal(2, 8, 4).requires_grad_(), normal(3, 8, 5, 6, 6).requires_grad_()
    total, _ = distiller(ALL).loss(normal(1, 8, 4), LABELS, targets=teacher, tap=tap, features=seen)
    total.backward()
    assert tap.grad is not None
    assert all(x.grad is None for x in (teacher, *seen[:4]))


def test_the_discriminator_learns_by_itself_and_not_in_the_students_step() -> None:
    made, tap = distiller(ALL), normal(3, 8, 5, 6, 6).requires_grad_()
    assert made.features is not None
    assert made.features.adversary is not None
    judge = list(made.features.adversary.parameters())
    projectors = made.projector_parameters()
    assert not {id(p) for p in judge} & {id(p) for p in projectors}
    loss(made, tap=tap)  # the first batch sets where the projectors start
    before = [[p.detach().clone() for p in group] for group in (judge, projectors)]
    total, _ = loss(made, tap=tap)
    assert not any(torch.equal(a, b) for a, b in zip(before[0], judge, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(before[1], projectors, strict=True))
    learnt = [p.detach().clone() for p in judge]
    student_step = torch.optim.SGD([tap, *projectors], lr=0.1)
    student_step.zero_grad()
    own = [None if p.grad is None else p.grad.clone() for p in judge]
    total.backward()
    student_step.step()
    assert all(torch.equal(a, b) for a, b in zip(learnt, judge, strict=True))
    assert all(a is not None and p.grad is not None and torch.equal(a, p.grad) for a, p in zip(own, judge, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(before[1], projectors, strict=True))


def test_without_terms_on_features_there_is_nothing_to_train_along() -> None:
    assert Distiller(Recipe()).projector_parameters() == []
    assert list(Distiller(Recipe()).parameters()) == []
