"""The training loop: same seed same bits, one schedule across stretches, and clear words when it cannot go on."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from eyebright_common.errors import EyebrightError, InputError
from eyebright_learning.data import PreparedImages
from eyebright_learning.distillation import Recipe
from eyebright_learning.models import build_student
from eyebright_learning.models.normalise import Normalise
from eyebright_learning.teacher_cache import TeacherCache
from eyebright_learning.training import (
    EpochRecord,
    StudentTraining,
    TeacherTraining,
    Training,
    fit,
    set_determinism,
    train_student,
    train_teacher,
)
from eyebright_learning.training.batches import class_weights, epoch_order, split_batches
from eyebright_learning.training.optimiser import build_optimiser
from eyebright_learning.training.schedule import rate_at
from learning_pictures import small_teacher, striped_pictures


class Small(nn.Module):
    """A student in miniature: batch normalisation, dropout and a head, so that the loop meets all of them."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.net = nn.Sequential(
                Normalise(),
                nn.Conv2d(3, 8, 7, stride=2, bias=False),
                nn.BatchNorm2d(8),
                nn.ReLU(),
                nn.AdaptiveAvgPool2d(1),
                nn.Flatten(),
                nn.Dropout(0.1),
                nn.Linear(8, 4),
            )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x)
        return out


def trained(config: Training, network: nn.Module | None = None, **options: Any) -> dict[str, Tensor]:
    network = network or Small()
    fit(network, striped_pictures(22), classes=4, recipe=Recipe.supervised(), config=config, **options)
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


CONFIG = Training(epochs=2, batch_size=8, threads=1, learning_rate=0.01)


def test_the_same_seed_gives_the_same_weights_bit_for_bit() -> None:
    assert same(trained(CONFIG), trained(CONFIG))


def test_another_seed_gives_other_weights() -> None:
    assert not same(trained(CONFIG), trained(replace(CONFIG, seed=1)))


def test_training_does_not_depend_on_torchs_generator_nor_touch_it() -> None:
    torch.manual_seed(1)
    first = trained(CONFIG)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert same(first, trained(CONFIG))
    assert torch.equal(torch.get_rng_state(), before)


def test_training_gives_the_threads_back() -> None:
    before = torch.get_num_threads()
    trained(replace(CONFIG, epochs=1, threads=before + 1))
    assert torch.get_num_threads() == before


def test_a_student_distilled_twice_from_one_seed_is_the_same_bit_for_bit(tmp_path: Path) -> None:
    images, teacher = striped_pictures(8), small_teacher()
    cache = TeacherCache.open_or_build(tmp_path / "t.cache", teacher=teacher, images=images, views=2)
    states = []
    for _ in range(2):
        student = build_student("mobilenet_v2", classes=4, seed=0)
        config = StudentTraining(epochs=1, batch_size=4, threads=1)
        train_student(student, images, cache=cache, recipe=Recipe(), config=config)
        states.append(student.state_dict())
    assert same(*states)


def test_two_stretches_see_the_pictures_and_rates_of_one() -> None:
    # Plain SGD has no memory and the network no dropout, so two stretches of a schedule must equal the whole.
    def network() -> nn.Module:
        small = Small()
        small.net[6] = nn.Identity()
        return small

    whole = Training(epochs=4, batch_size=8, threads=1, optimiser="sgd", momentum=0.0, learning_rate=0.05)
    at_once = trained(whole, network())
    in_two = network()
    trained(replace(whole, epochs=2, total_epochs=4), in_two)
    assert same(at_once, trained(replace(whole, epochs=2, first_epoch=2, total_epochs=4), in_two))


def test_the_loop_learns() -> None:
    images = striped_pictures(64)
    config = Training(epochs=12, batch_size=8, threads=1, learning_rate=0.02)
    result = fit(Small(), images, classes=4, recipe=Recipe.supervised(), config=config)
    assert result.losses["ce"] < 0.8 * result.history[0].losses["ce"]


def test_the_result_counts_steps_and_pictures() -> None:
    seen: list[EpochRecord] = []
    result = fit(
        Small(), striped_pictures(22), classes=4, recipe=Recipe.supervised(), config=CONFIG, on_epoch=seen.append
    )
    assert (result.steps, result.examples) == (6, 44)  # batches of 8, 7 and 7
    assert [(record.epoch, record.epochs) for record in seen] == [(1, 2), (2, 2)]
    assert set(result.losses) == {"total", "ce"}


def test_the_network_is_left_ready_for_use() -> None:
    network = Small()
    trained(CONFIG, network)
    assert not network.training


def test_bf16_trains_and_keeps_the_weights_in_single_precision() -> None:
    state = trained(replace(CONFIG, precision="bf16"))
    assert state["net.1.weight"].dtype == torch.float32
    assert not same(state, trained(CONFIG))


def test_the_proximal_term_holds_weights_near_their_start() -> None:
    def moved(mu: float) -> float:
        start, end = Small().state_dict(), trained(replace(CONFIG, optimiser="sgd", momentum=0.0, proximal_mu=mu))
        return float(sum((end[k] - start[k]).square().sum() for k in ("net.1.weight", "net.7.weight")))

    assert moved(20.0) < 0.8 * moved(0.0)


def test_the_proximal_gradient_is_mu_times_the_distance() -> None:
    # One picture class, zero loss gradient is impossible, so compare two runs of one step from a moved start: the first
    # step starts at w_0 and feels no pull, hence one-step runs agree whatever mu is.
    one = replace(CONFIG, epochs=1, batch_size=22)
    assert same(trained(one), trained(replace(one, proximal_mu=5.0)))


def test_a_loss_that_is_not_a_number_names_the_step() -> None:
    network = Small()
    with torch.no_grad():
        network.net[7].bias.fill_(float("nan"))
    with pytest.raises(EyebrightError, match="the loss is nan at step 1"):
        trained(CONFIG, network)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_pictures_are_refused(count: int) -> None:
    images = striped_pictures(2).subset(range(count))
    with pytest.raises(InputError, match="at least two"):
        fit(Small(), images, classes=4, recipe=Recipe.supervised(), config=CONFIG)


def test_a_label_outside_the_classes_is_refused() -> None:
    with pytest.raises(InputError, match="0 to 2"):
        fit(Small(), striped_pictures(4), classes=3, recipe=Recipe.supervised(), config=CONFIG)


def test_distillation_without_a_cache_is_refused() -> None:
    with pytest.raises(InputError, match="kd and dist without teacher"):
        fit(Small(), striped_pictures(4), classes=4, recipe=Recipe(), config=CONFIG)


def test_a_cache_of_other_pictures_is_refused(tmp_path: Path) -> None:
    cache = TeacherCache.open_or_build(
        tmp_path / "t.cache", teacher=small_teacher(), images=striped_pictures(4, seed=1), views=1
    )
    with pytest.raises(InputError, match="other pictures"):
        fit(Small(), striped_pictures(4, seed=2), classes=4, recipe=Recipe(), config=CONFIG, cache=cache)


ALL_LOSSES = Recipe(dkd=0.3, pca=0.05, gl=0.05, adversarial=0.01, multi_view=0.5)


def with_features(folder: Path, *, views: int = 2, feature_views: int = 1) -> tuple[PreparedImages, TeacherCache]:
    images = striped_pictures(16)
    cache = TeacherCache.open_or_build(
        folder / "t.cache", teacher=small_teacher(), images=images, views=views, feature_views=feature_views
    )
    return images, cache


def test_all_losses_train_one_student_the_same_way_twice_and_are_logged_by_name(tmp_path: Path) -> None:
    images, cache = with_features(tmp_path)
    states, seen = [], []
    for _ in range(2):
        student = build_student("mobilenet_v2", classes=4, seed=0)
        config = StudentTraining(epochs=1, batch_size=8, threads=1)
        seen.append(train_student(student, images, cache=cache, recipe=ALL_LOSSES, config=config).losses)
        states.append(student.state_dict())
    assert same(*states)
    assert seen[0] == seen[1]
    assert set(seen[0]) == {"total", "ce", "kd", "dist", "dkd", "pca", "gl", "adversarial", "discriminator"}


def test_epochs_whose_view_has_no_features_leave_those_terms_out(tmp_path: Path) -> None:
    images, cache = with_features(tmp_path)
    config = StudentTraining(epochs=2, batch_size=8, threads=1, views=2)
    student = build_student("mobilenet_v2", classes=4, seed=0)
    result = train_student(student, images, cache=cache, recipe=ALL_LOSSES, config=config)
    assert [{"pca", "gl"} <= set(record.losses) for record in result.history] == [True, False]


def test_a_student_keeps_no_trace_of_projectors_and_discriminator(tmp_path: Path) -> None:
    images, cache = with_features(tmp_path)
    student, untouched = (build_student("mobilenet_v2", classes=4, seed=0) for _ in range(2))
    config = StudentTraining(epochs=1, batch_size=8, threads=1)
    train_student(student, images, cache=cache, recipe=ALL_LOSSES, config=config)
    assert {name: tensor.shape for name, tensor in student.state_dict().items()} == {
        name: tensor.shape for name, tensor in untouched.state_dict().items()
    }


def test_terms_on_features_change_what_is_learnt_by_their_weight_and_plain_recipes_do_not_see_them(
    tmp_path: Path,
) -> None:
    images, cache = with_features(tmp_path)
    (tmp_path / "logits").mkdir()
    _, without = with_features(tmp_path / "logits", feature_views=0)

    def learnt(recipe: Recipe, targets: TeacherCache) -> dict[str, Tensor]:
        student = build_student("mobilenet_v2", classes=4, seed=0)
        config = StudentTraining(epochs=1, batch_size=8, threads=1)
        train_student(student, images, cache=targets, recipe=recipe, config=config)
        return student.state_dict()

    assert same(learnt(Recipe(), cache), learnt(Recipe(), without))
    assert not same(learnt(Recipe(gl=0.01), cache), learnt(Recipe(gl=0.05), cache))


def test_terms_on_features_from_a_cache_without_are_refused(tmp_path: Path) -> None:
    images, cache = with_features(tmp_path, feature_views=0)
    student = build_student("mobilenet_v2", classes=4, seed=0)
    with pytest.raises(InputError, match="pca and gl and adversarial without teacher features"):
        train_student(student, images, cache=cache, recipe=ALL_LOSSES, config=StudentTraining(epochs=1))


def test_terms_on_features_for_a_network_without_a_tap_are_refused(tmp_path: Path) -> None:
    images, cache = with_features(tmp_path)
    with pytest.raises(InputError, match=r"need a student's stride-16 map.*Small"):
        fit(Small(), images, classes=4, recipe=ALL_LOSSES, config=CONFIG, cache=cache)


def test_projectors_come_along_at_the_networks_rate_without_decay() -> None:
    projector = nn.Parameter(torch.zeros(3, 3))
    groups = build_optimiser(Small(), CONFIG, projectors=[projector]).param_groups
    (own,) = (group for group in groups if any(p is projector for p in group["params"]))
    assert (own["lr"], own["weight_decay"]) == (CONFIG.learning_rate, 0.0)


def test_a_focal_recipe_trains_any_network() -> None:
    images = striped_pictures(22)
    result = fit(Small(), images, classes=4, recipe=Recipe.supervised(focal=2.0), config=CONFIG)
    assert set(result.losses) == {"total", "focal"}


@pytest.mark.parametrize(
    ("knobs", "named"),
    [
        ({"epochs": 0}, "epochs"),
        ({"batch_size": 1}, "batch_size"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"warmup": 1.0}, "warmup"),
        ({"optimiser": "lion"}, "optimiser"),
        ({"precision": "fp16"}, "precision"),
        ({"balance": "focal"}, "balance"),
        ({"first_epoch": 3, "total_epochs": 3}, "total_epochs is shorter"),
    ],
)
def test_a_senseless_configuration_is_refused_by_the_knobs_name(knobs: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        Training(**{"epochs": 1, **knobs})


def test_the_rate_rises_then_falls_to_its_floor() -> None:
    rates = [rate_at(s, steps=100, peak=1.0, warmup=0.1, final=0.01) for s in range(100)]
    assert rates[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert rates[9] == rates[10] == 1.0
    assert rates[55] == pytest.approx(0.01 + 0.99 * 0.5)  # half-way down the cosine
    assert all(a > b for a, b in itertools.pairwise(rates[10:]))
    assert rates[-1] == pytest.approx(0.01, abs=1e-3)


@given(st.integers(2, 300), st.integers(2, 64))
def test_batches_cover_the_epoch_and_none_is_of_one_picture(count: int, batch_size: int) -> None:
    batches = split_batches(np.arange(count), batch_size)
    assert np.concatenate(batches).tolist() == list(range(count))
    sizes = {len(batch) for batch in batches}
    assert min(sizes) >= 2
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= batch_size + 1


@given(st.lists(st.integers(0, 3), min_size=2, max_size=80), st.integers(0, 50))
def test_balanced_epochs_give_each_class_its_share(labels: list[int], epoch: int) -> None:
    given_labels = np.asarray(labels, dtype=np.int64)
    order = epoch_order(given_labels, seed=1, epoch=epoch, balanced=True)
    shares = np.bincount(given_labels[order], minlength=4)[np.unique(given_labels)]
    assert len(order) == len(labels)
    assert shares.max() - shares.min() <= 1
    for label in np.unique(given_labels):  # nobody comes twice before everybody of the class came once
        times = [int((order == member).sum()) for member in np.flatnonzero(given_labels == label)]
        assert max(times) - min(times) <= 1


def test_an_epochs_order_is_its_seeds_and_its_numbers() -> None:
    labels = np.arange(50) % 4
    first = epoch_order(labels, seed=1, epoch=0, balanced=False)
    assert np.array_equal(first, epoch_order(labels, seed=1, epoch=0, balanced=False))
    assert not np.array_equal(first, epoch_order(labels, seed=1, epoch=1, balanced=False))
    assert sorted(first.tolist()) == list(range(50))


def test_class_weights_even_out_the_classes() -> None:
    # Counts 1, 3, 0: weights 4 / (2 * 1) and 4 / (2 * 3); weighted counts are then equal, and the mean is 1.
    weights = class_weights(np.array([0, 1, 1, 1]), 3)
    assert weights.tolist() == pytest.approx([2.0, 2 / 3, 0.0])


def test_a_teacher_is_trained_and_calibrated_on_validation() -> None:
    teacher = small_teacher()
    before = teacher.digest()
    config = TeacherTraining(epochs=2, batch_size=8, threads=1)
    result = train_teacher(teacher, striped_pictures(24), striped_pictures(12, seed=5), config=config)
    assert float(teacher.temperature) == pytest.approx(result.temperature)
    assert teacher.digest() != before


def test_a_teacher_without_validation_pictures_is_refused() -> None:
    empty = striped_pictures(2).subset([])
    with pytest.raises(InputError, match="no validation pictures"):
        train_teacher(small_teacher(), striped_pictures(4), empty, config=TeacherTraining(epochs=1))


def test_a_teacher_of_another_picture_size_is_refused() -> None:
    with pytest.raises(InputError, match="another size"):
        images = striped_pictures(4, size=48)
        train_teacher(small_teacher(), images, images, config=TeacherTraining(epochs=1))


def test_set_determinism_fixes_seed_and_threads() -> None:
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    try:
        set_determinism(3, 1)
        first = torch.rand(3)
        set_determinism(3, 1)
        assert torch.equal(first, torch.rand(3))
        assert torch.get_num_threads() == 1
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)
