"""Phases of a teacher's training: the head alone first, the body at a rate of its own, and knobs that fit together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from eyebright_common.errors import EyebrightError, InputError
from eyebright_learning.distillation import Distiller, Recipe
from eyebright_learning.models import Teacher, build_student, build_teacher
from eyebright_learning.training import EpochRecord, TeacherTraining, Training, fit, train_teacher
from eyebright_learning.training.batches import class_weights, log_prior
from eyebright_learning.training.config import Balance
from eyebright_learning.training.objective import build_distiller
from eyebright_learning.training.optimiser import build_optimiser, set_rate
from eyebright_learning.training.phases import Phases, head_of
from learning_pictures import small_teacher, striped_pictures

IMAGES = striped_pictures(16)


def config(**knobs: Any) -> TeacherTraining:
    return TeacherTraining(
        **({"epochs": 2, "batch_size": 8, "threads": 1, "learning_rate": 0.01, "warmup": 0.0} | knobs)
    )


def weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


def after_each_epoch(network: nn.Module, **knobs: Any) -> list[dict[str, Tensor]]:
    """Return the network's state before training and after each epoch."""
    states = [weights(network)]

    def keep(_: EpochRecord) -> None:
        states.append(weights(network))

    fit(network, IMAGES, classes=4, recipe=Recipe.supervised(), config=config(**knobs), on_epoch=keep)
    return states


def test_a_frozen_backbone_stays_as_it_is_while_the_head_learns() -> None:
    start, first, second = after_each_epoch(small_teacher(), frozen_epochs=1)
    assert changed(start, first) == {"network.head.weight", "network.head.bias"}
    assert "network.blocks.0.attn.qkv.weight" in changed(first, second)


def test_frozen_statistics_stay_as_they_are_and_everything_else_learns() -> None:
    student = build_student("resnet18", classes=4, seed=0)
    start, *_, last = after_each_epoch(student, frozen_statistics=True)
    statistics = {name for name in start if "running_" in name or "num_batches" in name}
    assert statistics
    assert changed(start, last) == set(start) - statistics
    assert not any(module.training for module in student.modules())


def test_frozen_statistics_and_an_average_that_measures_them_do_not_go_together() -> None:
    with pytest.raises(InputError, match="frozen_statistics"):
        config(epochs=6, frozen_statistics=True, averaging_start=0.5)


def test_batch_statistics_of_a_frozen_backbone_stay_as_they_are() -> None:
    start, first, second = after_each_epoch(build_student("resnet18", classes=4, seed=0), frozen_epochs=1)
    assert changed(start, first) == {"fc.weight", "fc.bias"}
    assert {"bn1.running_mean", "layer4.1.bn2.running_var"} <= changed(first, second)


def test_weight_decay_leaves_a_frozen_backbone_alone() -> None:
    start, first, _ = after_each_epoch(small_teacher(), frozen_epochs=1, weight_decay=0.9)
    assert changed(start, first) == {"network.head.weight", "network.head.bias"}


def test_frozen_epochs_count_over_the_whole_schedule() -> None:
    network = small_teacher()
    states = after_each_epoch(network, epochs=1, first_epoch=1, total_epochs=2, frozen_epochs=1)
    assert "network.blocks.0.attn.qkv.weight" in changed(*states)


def test_everything_learns_again_when_a_frozen_epoch_is_interrupted() -> None:
    network = small_teacher()
    with torch.no_grad():
        network.get_parameter("network.head.bias").fill_(float("nan"))
    with pytest.raises(EyebrightError, match="the loss is nan"):
        fit(network, IMAGES, classes=4, recipe=Recipe.supervised(), config=config(frozen_epochs=1))
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_what_was_frozen_before_stays_frozen() -> None:
    network = small_teacher()
    network.get_parameter("network.pos_embed").requires_grad_(False)
    phases = Phases(network, config(frozen_epochs=1))
    phases.begin(0)
    phases.begin(1)
    assert not network.get_parameter("network.pos_embed").requires_grad


@pytest.mark.parametrize("name", ["test_vit", "test_convnext", "mobilenet_v2", "hybrid_mobilenet_v2_tiny"])
def test_the_head_of_every_kind_of_teacher_is_known(name: str) -> None:
    teacher = build_teacher(name, classes=4, image_size=64, seed=0)
    (matrix,) = (parameter for parameter in head_of(teacher).parameters() if parameter.ndim == 2)
    assert matrix.shape[0] == 4


def test_a_network_without_a_known_head_cannot_be_frozen() -> None:
    with pytest.raises(InputError, match="cannot be told apart"):
        fit(nn.Linear(3, 4), IMAGES, classes=4, recipe=Recipe.supervised(), config=config(frozen_epochs=1))


def rates(network: nn.Module, *, rate: float, **knobs: Any) -> dict[str, float]:
    """Return the rate of every parameter when the schedule says ``rate``."""
    optimiser = build_optimiser(network, config(**knobs))
    set_rate(optimiser, rate)
    by_parameter = {parameter: group["lr"] for group in optimiser.param_groups for parameter in group["params"]}
    return {name: by_parameter[parameter] for name, parameter in network.named_parameters()}


def test_the_backbone_has_its_own_rate_through_the_whole_schedule() -> None:
    found = rates(small_teacher(), rate=0.005, learning_rate=0.01, backbone_learning_rate=0.002)
    assert found["network.head.weight"] == found["network.head.bias"] == 0.005
    assert found["network.blocks.0.attn.qkv.weight"] == pytest.approx(0.001)
    assert found["network.norm.bias"] == pytest.approx(0.001)


def test_layer_decay_multiplies_the_rate_once_per_layer_from_the_head_down() -> None:
    found = rates(small_teacher(), rate=1.0, layer_decay=0.5)
    depth = len({name.split(".")[2] for name in found if name.startswith("network.blocks.")})
    assert found["network.head.weight"] == 1.0
    for block in range(depth):
        # The embedding is layer 0, block b layer b + 1; the final norm goes with the head.
        assert found[f"network.blocks.{block}.mlp.fc1.weight"] == pytest.approx(0.5 ** (depth - block))
    assert found["network.patch_embed.proj.weight"] == pytest.approx(0.5 ** (depth + 1))


def test_layer_decay_reaches_a_convnext() -> None:
    found = rates(build_teacher("test_convnext", classes=4, image_size=64, seed=0), rate=1.0, layer_decay=0.5)
    assert found["network.stem.0.weight"] < found["network.stages.3.blocks.0.conv_dw.weight"] < 1.0
    assert found["network.head.fc.weight"] == 1.0


def test_layer_decay_decays_the_weights_it_always_did() -> None:
    groups = build_optimiser(small_teacher(), config(layer_decay=0.5, weight_decay=0.1)).param_groups
    assert {(p.ndim > 1, group["weight_decay"]) for group in groups for p in group["params"]} == {
        (True, 0.1),
        (False, 0.0),
    }


def test_layer_decay_needs_layers_that_can_be_counted() -> None:
    with pytest.raises(InputError, match="layer_decay needs a network whose layers timm can count"):
        build_optimiser(build_student("mobilenet_v2", classes=4, seed=0), config(layer_decay=0.5))


def test_without_these_knobs_there_are_two_groups_at_the_schedules_rate() -> None:
    optimiser = build_optimiser(small_teacher(), config())
    set_rate(optimiser, 0.123)
    assert [group["lr"] for group in optimiser.param_groups] == [0.123, 0.123]


def test_class_weights_reach_the_focal_loss() -> None:
    uneven = IMAGES.subset([0, 4, 8, 12, 1, 2, 3])
    recipe = Recipe.supervised(focal=2.0)
    distiller = build_distiller(recipe, nn.Linear(1, 1), uneven, classes=4, config=config(balance="loss"), cache=None)
    logits, labels = torch.tensor([[2.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 3.0]]), torch.tensor([0, 1])
    total, _ = distiller.loss(logits, labels)
    weight = torch.from_numpy(class_weights(uneven.labels, 4))[labels]
    p = logits.softmax(1)[torch.arange(2), labels]
    assert float(total) == pytest.approx(float((weight * (1 - p) ** 2 * -p.log()).sum() / weight.sum()), rel=1e-5)


def _learnt_bias(counts: list[int], balance: Balance) -> Tensor:
    """Return what a network that sees nothing of its pictures learns about the classes from labels alone, ``[4]``."""
    labels = np.repeat(np.arange(4), counts)
    prior = torch.from_numpy(log_prior(labels, 4)) if balance == "prior" else None
    made, target, bias = Distiller(Recipe.supervised(), log_prior=prior), torch.from_numpy(labels), torch.zeros(4)
    bias.requires_grad_(True)
    optimiser = torch.optim.SGD([bias], lr=4.0)
    for _ in range(200):
        optimiser.zero_grad()
        made.loss(bias.expand(len(labels), 4), target)[0].backward()
        optimiser.step()
    return bias.detach()


def _leaning(counts: list[int], balance: Balance) -> float:
    bias = _learnt_bias(counts, balance)
    return float(bias.max() - bias.min())


def test_with_balance_prior_a_student_learns_no_leaning_to_the_frequent_class() -> None:
    counts = [120, 20, 10, 10]
    assert _leaning(counts, "none") > 2.0
    assert _leaning(counts, "prior") < 0.02


def test_with_balance_prior_a_class_that_a_hospital_lacks_is_not_unlearned() -> None:
    counts = [200, 200, 0, 0]
    assert float(_learnt_bias(counts, "none")[2]) < -3.0
    assert float(_learnt_bias(counts, "prior")[2]) > -0.6


def test_balance_prior_takes_the_shares_of_the_pictures_that_are_learned_from() -> None:
    uneven = IMAGES.subset([0, 4, 8, 12, 1, 2, 3])
    made = build_distiller(Recipe(), nn.Linear(1, 1), uneven, classes=4, config=config(balance="prior"), cache=None)
    assert made.log_prior is not None
    assert torch.allclose(made.log_prior.exp(), torch.tensor([4.0, 1.0, 1.0, 1.0]) / 7)


def test_a_teacher_learns_by_the_focal_loss() -> None:
    result = train_teacher(small_teacher(), IMAGES, IMAGES, config=config(epochs=1), focal=2.0)
    assert set(result.training.losses) == {"total", "focal"}


def test_a_teacher_is_trained_from_a_frozen_start() -> None:
    teacher: Teacher = small_teacher()
    result = train_teacher(teacher, IMAGES, IMAGES, config=config(frozen_epochs=1, layer_decay=0.7))
    assert len(result.training.history) == 2
    assert all(parameter.requires_grad for parameter in teacher.parameters())


@pytest.mark.parametrize(
    ("knobs", "named"),
    [
        ({"frozen_epochs": -1}, "frozen_epochs must be at least 0"),
        ({"frozen_epochs": 2}, "frozen_epochs leaves no epoch"),
        ({"backbone_learning_rate": 0.0}, "backbone_learning_rate must be above 0"),
        ({"backbone_learning_rate": float("inf")}, "backbone_learning_rate must be above 0"),
        ({"layer_decay": 0.0}, "layer_decay must be in"),
        ({"layer_decay": 1.1}, "layer_decay must be in"),
        ({"layer_decay": 0.5, "backbone_learning_rate": 0.1}, "backbone_learning_rate and layer_decay"),
    ],
)
def test_impossible_phases_are_refused_by_the_knobs_name(knobs: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        Training(**({"epochs": 2} | knobs))
