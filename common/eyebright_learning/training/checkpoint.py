"""A stretch of training on disk: after every epoch, all that is needed to go on as if nothing had happened.

* ``epoch-N.safetensors`` holds tensors: network, optimiser's moments, average of weights, generators.
  ``training.json`` names the file that counts and keeps the losses (``kept_epochs``).
* A finished stretch keeps ``finished.safetensors``, the network alone. Asked for again, it is not trained again.
* A folder belongs to one stretch: losses, configuration, pictures with their labels, and the weights it started from
  are in its key. Another one's folder is refused. The number of threads and of processes is not in the key.
* Moments are numbered in the order of the optimiser's groups, which the configuration decides.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from eyebright_learning.data import PreparedImages
from eyebright_learning.distillation import Recipe
from eyebright_learning.kept_epochs import FINISHED, Progress, keep_epoch, read_epoch
from eyebright_learning.models.weights import weights_bytes
from eyebright_learning.teacher_cache import TeacherCache
from eyebright_learning.training.averaging import WeightAverage
from eyebright_learning.training.config import Training
from eyebright_learning.training.records import EpochRecord

_PROGRESS = "training.json"
_NETWORK, _MOMENTS, _AVERAGE, _RANDOM = "network.", "optimiser.", "average.", "random."

State = dict[str, Tensor]
History = tuple[EpochRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What was read back.

    Attributes:
        history: One record per whole epoch.
        state: Tensors by name.
        finished: Whether nothing is left to train; the state is then the network alone.
    """

    history: History
    state: State
    finished: bool


def stretch_key(
    network: nn.Module,
    images: PreparedImages,
    *,
    classes: int,
    recipe: Recipe,
    config: Training,
    cache: TeacherCache | None,
) -> str:
    """Return the SHA-256 of everything that decides what a stretch computes; ``network`` has not been trained yet."""
    settings = dataclasses.asdict(config)
    del settings["threads"]
    targets = None if cache is None else cache.header.key.model_dump(mode="json")
    start = hashlib.sha256(weights_bytes(network)).hexdigest()
    pictures = [images.digest(), images.labels.tolist()]
    parts = [start, pictures, classes, dataclasses.asdict(recipe), settings, targets]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def save_checkpoint(folder: Path, *, key: str, history: History, state: State, finished: bool = False) -> None:
    """Write one epoch's end, or the end of the stretch, durably."""
    name = FINISHED if finished else f"epoch-{len(history)}.safetensors"
    keep_epoch(folder / _PROGRESS, Progress[EpochRecord](key=key, weights=name, history=history), state)


def read_checkpoint(folder: Path, *, key: str) -> Checkpoint | None:
    """Return what ``save_checkpoint`` wrote; None when the folder holds no stretch yet.

    Raises:
        InputError: the folder holds another stretch, or its files are damaged.
    """
    found = read_epoch(folder / _PROGRESS, Progress[EpochRecord], key=key, what="training")
    if found is None:
        return None
    progress, state = found
    return Checkpoint(history=progress.history, state=state, finished=progress.weights == FINISHED)


def network_state(network: nn.Module) -> State:
    """Return a network's weights and buffers under the names a checkpoint has them by."""
    return _prefixed(_NETWORK, network)


def load_network(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put back what ``network_state`` returned."""
    network.load_state_dict(_below(_NETWORK, state))


def average_state(average: WeightAverage | None) -> State:
    """Return an average of weights under the names a checkpoint has it by; nothing without one."""
    return {} if average is None else _prefixed(_AVERAGE, average)


def load_average(average: WeightAverage | None, state: Mapping[str, Tensor]) -> None:
    """Put back what ``average_state`` returned."""
    if average is not None:
        average.load_state_dict(_below(_AVERAGE, state))


def moments(optimiser: torch.optim.Optimizer) -> State:
    """Return an optimiser's state by number and name."""
    return {
        f"{_MOMENTS}{number}.{what}": value
        for number, parameter in enumerate(_parameters(optimiser))
        for what, value in optimiser.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }


def load_moments(optimiser: torch.optim.Optimizer, state: Mapping[str, Tensor]) -> None:
    """Put back what ``moments`` returned, in the parameters' own memory layout; step counts stay on the processor."""
    parameters = _parameters(optimiser)
    optimiser.state.clear()
    for name, kept in _below(_MOMENTS, state).items():
        number, what = name.split(".")
        parameter = parameters[int(number)]
        value = kept.clone() if what == "step" else torch.empty_like(parameter).detach().copy_(kept)
        optimiser.state[parameter][what] = value


def randomness(device: torch.device) -> State:
    """Return the state of torch's generators: the processor's, and that of the device where it has one."""
    state = {f"{_RANDOM}cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state[f"{_RANDOM}cuda"] = torch.cuda.get_rng_state(device)
    return state


def load_randomness(device: torch.device, state: Mapping[str, Tensor]) -> None:
    """Put back what ``randomness`` returned, as far as it was kept."""
    kept = _below(_RANDOM, state)
    if "cpu" in kept:
        torch.set_rng_state(kept["cpu"])
    if "cuda" in kept and device.type == "cuda":
        torch.cuda.set_rng_state(kept["cuda"], device)


def _parameters(optimiser: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]


def _prefixed(prefix: str, module: nn.Module) -> State:
    return {f"{prefix}{name}": tensor for name, tensor in module.state_dict().items()}


def _below(prefix: str, state: Mapping[str, Tensor]) -> State:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
