"""The optimiser of a stretch: which parameters decay, at which rate each learns, and who comes along.

* Weights of two dimensions and more decay; biases and normalisation do not.
* Projectors of a distillation come along at the full rate and do not decay: they are thrown away afterwards and have
  nothing to generalise.
* ``rate_scale`` of a group is its part of the schedule's rate. With ``backbone_learning_rate`` the body has one of its
  own; with ``layer_decay`` d, layer l of L has d^(L - l) by timm's count of layers, the head L.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from timm.optim import param_groups_layer_decay  # type: ignore[attr-defined]  # public, though not in __all__
from torch import nn

from eyebright_common.errors import InputError
from eyebright_learning.training.config import Training
from eyebright_learning.training.phases import body_of, head_of


def build_optimiser(
    network: nn.Module, config: Training, *, projectors: Sequence[nn.Parameter] = ()
) -> torch.optim.Optimizer:
    """Return a fresh optimiser of the network's trainable parameters and of ``projectors``.

    Raises:
        InputError: the network cannot be divided as the configuration asks.
    """
    groups = _groups(network, config)
    if projectors:
        groups.append({"params": list(projectors), "weight_decay": 0.0, "rate_scale": 1.0})
    if config.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum, nesterov=config.momentum > 0)
    return torch.optim.AdamW(groups, lr=config.learning_rate)


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its part of the schedule's ``rate``."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["rate_scale"]


def _groups(network: nn.Module, config: Training) -> list[dict[str, Any]]:
    scales = _rate_scales(network, config)
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    trained = [p for p in network.parameters() if p.requires_grad]
    for parameter in trained:
        groups.setdefault((scales.get(parameter, 1.0), parameter.ndim > 1), []).append(parameter)
    return [
        {"params": members, "weight_decay": config.weight_decay if decays else 0.0, "rate_scale": scale}
        for (scale, decays), members in sorted(groups.items(), key=lambda item: item[0], reverse=True)
    ]


def _rate_scales(network: nn.Module, config: Training) -> dict[nn.Parameter, float]:
    """Return each parameter's part of the rate; what is not in it learns at the full rate."""
    if config.backbone_learning_rate is not None:
        head = set(head_of(network).parameters())
        scale = config.backbone_learning_rate / config.learning_rate
        return {parameter: scale for parameter in network.parameters() if parameter not in head}
    if config.layer_decay < 1.0:
        return _layer_scales(body_of(network), config.layer_decay)
    return {}


def _layer_scales(network: nn.Module, decay: float) -> dict[nn.Parameter, float]:
    if not hasattr(network, "group_matcher"):
        raise InputError(
            "training: layer_decay needs a network whose layers timm can count",
            value=type(network).__name__,
            fix="Set layer_decay to 1, or choose a teacher of timm's.",
        )
    groups = param_groups_layer_decay(network, layer_decay=decay)
    return {parameter: float(group["lr_scale"]) for group in groups for parameter in group["params"]}
