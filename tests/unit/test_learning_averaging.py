"""Stochastic weight averaging: the mean of the late weights is what a network is left with, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from eyebright_common.errors import InputError
from eyebright_learning.distillation import Recipe
from eyebright_learning.models import build_student, save_weights
from eyebright_learning.training import EpochRecord, Training, fit, train_teacher
from eyebright_learning.training.averaging import WeightAverage
from eyebright_learning.training.batches import epoch_order, split_batches
from eyebright_learning.training.config import TeacherTraining
from eyebright_learning.training.schedule import rate_at
from eyebright_learning.views import augment
from learning_pictures import small_teacher, striped_pictures

IMAGES = striped_pictures(24)
KNOBS: dict[str, Any] = {"epochs": 5, "batch_size": 8, "threads": 1, "learning_rate": 0.01, "averaging_start": 0.4}


class Small(nn.Module):
    """A convolution with batch normalisation, without dropout: its statistics can be computed by hand."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.conv = nn.Conv2d(3, 6, 5, stride=2, bias=False)
            self.norm = nn.BatchNorm2d(6)
            self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(torch.relu(self.norm(self.conv(x / 255.0))).mean((2, 3)))
        return logits


def trained(network: nn.Module, **knobs: Any) -> list[dict[str, Tensor]]:
    """Train with an average and return the parameters after every epoch."""
    states: list[dict[str, Tensor]] = []

    def keep(_: EpochRecord) -> None:
        states.append({name: parameter.detach().clone() for name, parameter in network.named_parameters()})

    config = Training(**(KNOBS | knobs))
    fit(network, IMAGES, classes=4, recipe=Recipe.supervised(), config=config, on_epoch=keep)
    return states


def test_the_network_is_left_with_the_mean_of_the_averaged_epochs() -> None:
    network = Small()
    states = trained(network)
    for name, parameter in network.named_parameters():
        mean = torch.stack([state[name] for state in states[2:]]).mean(0)
        assert torch.allclose(parameter, mean, atol=1e-6), name
        assert not torch.allclose(parameter, states[-1][name], atol=1e-5), name


def test_the_saved_file_holds_the_mean(tmp_path: Path) -> None:
    student = build_student("mobilenet_v2", classes=4, seed=0)
    states = trained(student, epochs=3)
    save_weights(student, tmp_path / "student.safetensors")
    saved = load_file(tmp_path / "student.safetensors")
    mean = torch.stack([state["classifier.1.weight"] for state in states[1:]]).mean(0)
    assert torch.allclose(saved["classifier.1.weight"], mean, atol=1e-6)


def test_batch_statistics_are_those_of_the_averaged_weights_on_training_views() -> None:
    network = Small()
    trained(network)
    order = epoch_order(IMAGES.labels, seed=0, epoch=4, balanced=False)
    means, variances = [], []
    for index in split_batches(order, 8):
        seen = augment(IMAGES.pixels[index], [IMAGES.digests[i] for i in index], 4)
        maps = network.conv(seen / 255.0).detach()
        means.append(maps.mean((0, 2, 3)))
        variances.append(maps.var((0, 2, 3)))
    assert network.norm.running_mean is not None
    assert network.norm.running_var is not None
    assert torch.allclose(network.norm.running_mean, torch.stack(means).mean(0), atol=1e-5)
    assert torch.allclose(network.norm.running_var, torch.stack(variances).mean(0), rtol=1e-4)


def test_batch_normalisation_keeps_its_momentum() -> None:
    network = Small()
    trained(network)
    assert network.norm.momentum == 0.1


def test_the_network_is_left_ready_to_predict() -> None:
    network = Small()
    trained(network)
    assert not any(module.training for module in network.modules())


def test_the_same_seed_gives_the_same_average() -> None:
    first, second = Small(), Small()
    trained(first)
    trained(second)
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


def test_a_teachers_temperature_belongs_to_the_averaged_weights() -> None:
    teacher = small_teacher()
    result = train_teacher(teacher, IMAGES, IMAGES, config=TeacherTraining(**KNOBS))
    assert float(teacher.temperature) == result.temperature > 0.0


def test_an_average_that_was_interrupted_goes_on_where_it_stopped() -> None:
    network, average = nn.Linear(2, 1), WeightAverage(nn.Linear(2, 1))
    values = [1.0, 3.0, 8.0]
    for value in values[:2]:
        nn.init.constant_(network.weight, value)
        average.update(network)
    continued = WeightAverage(nn.Linear(2, 1))
    continued.load_state_dict(average.state_dict())
    nn.init.constant_(network.weight, values[2])
    continued.update(network)
    continued.settle(network, [])
    assert continued.epochs == 3
    assert torch.allclose(network.weight, torch.full((1, 2), 4.0))


def test_the_rate_comes_to_rest_where_averaging_begins_and_is_level_from_there() -> None:
    rates = [
        rate_at(s, steps=100, peak=2.0, warmup=0.1, final=0.01, averaging_from=60, averaging=0.1) for s in range(100)
    ]
    assert rates[9] == 2.0
    assert rates[35] == pytest.approx(2.0 * (0.01 + 0.99 * 0.5))
    assert rates[59] < 0.03
    assert rates[60:] == [0.2] * 40


@pytest.mark.parametrize(
    ("knobs", "named"),
    [
        ({"averaging_start": 0.0}, "averaging_start is a part"),
        ({"averaging_start": 1.5}, "averaging_start is a part"),
        ({"averaging_rate": 0.0}, "averaging_rate is a part"),
        ({"averaging_start": 0.95}, "leave an epoch to average"),
        ({"averaging_start": 0.1}, "must come after warmup"),
        ({"averaging_start": 0.4, "frozen_epochs": 3}, "must come after warmup and frozen_epochs"),
        ({"averaging_start": 0.5, "first_epoch": 5, "total_epochs": 10}, "whole schedule in one stretch"),
    ],
)
def test_impossible_averages_are_refused_by_the_knobs_name(knobs: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        Training(**({"epochs": 5} | knobs))
