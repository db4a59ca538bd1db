"""A stretch of training on disk: what is written is what comes back, and never another stretch's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from eyebright_common.errors import InputError
from eyebright_learning.distillation import Recipe
from eyebright_learning.models import build_student
from eyebright_learning.training import StudentTraining
from eyebright_learning.training.checkpoint import (
    load_moments,
    load_network,
    load_randomness,
    moments,
    network_state,
    randomness,
    read_checkpoint,
    save_checkpoint,
    stretch_key,
)
from eyebright_learning.training.records import EpochRecord
from learning_pictures import striped_pictures

CONFIG = StudentTraining(epochs=2)


def record(epoch: int) -> EpochRecord:
    return EpochRecord(epoch=epoch, epochs=3, losses={"total": 0.1 + 1 / 3}, learning_rate=1e-3 / 7)


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 2))


def stepped(net: nn.Module, kind: type[torch.optim.Optimizer], **options: float) -> torch.optim.Optimizer:
    optimiser = kind(net.parameters(), lr=0.1, **options)
    take_step(net, optimiser)
    return optimiser


def take_step(net: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    optimiser.zero_grad()
    net(torch.linspace(-1, 1, 2 * 3 * 64).view(2, 3, 8, 8)).square().mean().backward()
    optimiser.step()


def key(**changes: object) -> str:
    images = changes.pop("images", striped_pictures(4))
    recipe = changes.pop("recipe", Recipe.supervised())
    start = changes.pop("start", build_student("mobilenet_v2", classes=4, seed=0))
    config = replace(CONFIG, **changes)
    return stretch_key(start, images, classes=4, recipe=recipe, config=config, cache=None)


def test_what_is_saved_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    state = {"network.w": torch.tensor([1 / 3, 2 / 3])}
    save_checkpoint(tmp_path, key="k", history=(record(1), record(2)), state=state)
    found = read_checkpoint(tmp_path, key="k")
    assert found is not None
    assert found.history == (record(1), record(2))
    assert torch.equal(found.state["network.w"], state["network.w"])
    assert not found.finished


def test_an_empty_folder_holds_no_training(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path, key="k") is None


def test_only_the_file_that_counts_is_kept(tmp_path: Path) -> None:
    for epoch in (1, 2):
        history = tuple(record(e) for e in range(1, epoch + 1))
        save_checkpoint(tmp_path, key="k", history=history, state={"network.w": torch.zeros(1)})
    assert {path.name for path in tmp_path.iterdir()} == {"training.json", "epoch-2.safetensors"}
    save_checkpoint(tmp_path, key="k", history=history, state={"network.w": torch.zeros(1)}, finished=True)
    assert {path.name for path in tmp_path.iterdir()} == {"training.json", "finished.safetensors"}
    found = read_checkpoint(tmp_path, key="k")
    assert found is not None
    assert found.finished


def test_a_kill_between_the_two_files_leaves_the_epoch_before(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, key="k", history=(record(1),), state={"network.w": torch.ones(1)})
    (tmp_path / "epoch-2.safetensors").write_bytes(b"half a file")
    found = read_checkpoint(tmp_path, key="k")
    assert found is not None
    assert len(found.history) == 1


def test_the_folder_of_another_training_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, key="k", history=(record(1),), state={"network.w": torch.ones(1)})
    with pytest.raises(InputError, match="another training"):
        read_checkpoint(tmp_path, key="other")


@pytest.mark.parametrize("damaged", ["training.json", "epoch-1.safetensors"])
def test_a_damaged_checkpoint_is_one_clear_error(tmp_path: Path, damaged: str) -> None:
    save_checkpoint(tmp_path, key="k", history=(record(1),), state={"network.w": torch.ones(1)})
    (tmp_path / damaged).write_bytes(b"{")
    with pytest.raises(InputError, match="cannot be read"):
        read_checkpoint(tmp_path, key="k")


@pytest.mark.parametrize(
    ("kind", "options"), [(torch.optim.AdamW, {}), (torch.optim.SGD, {"momentum": 0.9}), (torch.optim.SGD, {})]
)
def test_an_optimiser_goes_on_as_if_nothing_had_happened(
    kind: type[torch.optim.Optimizer], options: dict[str, float]
) -> None:
    net, copy = network(), network(seed=1)
    optimiser = stepped(net, kind, **options)
    load_network(copy, network_state(net))
    fresh = kind(copy.parameters(), lr=0.1, **options)
    load_moments(fresh, moments(optimiser))
    take_step(net, optimiser)
    take_step(copy, fresh)
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, copy.state_dict()[name])


def test_moments_take_the_memory_layout_of_their_weights() -> None:
    net = network().to(memory_format=torch.channels_last)
    optimiser = stepped(net, torch.optim.AdamW)
    kept = {name: tensor.contiguous() for name, tensor in moments(optimiser).items()}
    load_moments(optimiser, kept)
    assert optimiser.state[net[0].weight]["exp_avg"].is_contiguous(memory_format=torch.channels_last)


def test_drawing_goes_on_where_it_was() -> None:
    device = torch.device("cpu")
    torch.manual_seed(3)
    kept = randomness(device)
    drawn = torch.rand(4)
    load_randomness(device, kept)
    assert torch.equal(torch.rand(4), drawn)


def test_the_key_knows_threads_from_what_is_computed() -> None:
    assert key(threads=2) == key()
    relabelled = replace(striped_pictures(4), labels=striped_pictures(4).labels[::-1].copy())
    others = [
        key(seed=1),
        key(learning_rate=0.1),
        key(recipe=Recipe.supervised(focal=2.0)),
        key(images=striped_pictures(4, seed=1)),
        key(images=relabelled),
        key(start=build_student("mobilenet_v2", classes=4, seed=1)),
    ]
    assert len({key(), *others}) == 1 + len(others)
