"""AdamW for pre-training: no decay on one-dimensional weights, and moments that can be kept and put back.

Moments are named ``optimiser.PARAMETER.WHAT``, so a checkpoint is plain safetensors and survives another order of
parameters.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def build_optimiser(network: nn.Module) -> torch.optim.AdamW:
    """Return AdamW over all weights; rate and decay are set before each step by ``set_step``."""
    weights = list(network.parameters())
    return torch.optim.AdamW(
        [
            {"params": [p for p in weights if p.ndim > 1], "decays": True},
            {"params": [p for p in weights if p.ndim <= 1], "decays": False},
        ],
        lr=0.0,
        weight_decay=0.0,
    )


def set_step(optimiser: torch.optim.Optimizer, *, learning_rate: float, weight_decay: float) -> None:
    """Set the rate, and the decay of the weights that decay."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate
        group["weight_decay"] = weight_decay if group["decays"] else 0.0


def moments(optimiser: torch.optim.Optimizer, network: nn.Module) -> dict[str, Tensor]:
    """Return the optimiser's state by name."""
    return {
        f"optimiser.{name}.{what}": optimiser.state[parameter][what]
        for name, parameter in network.named_parameters()
        for what in _MOMENTS
    }


def load_moments(optimiser: torch.optim.Optimizer, network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put back what ``moments`` returned. Step counts stay on the processor, where AdamW looks for them."""
    for name, parameter in network.named_parameters():
        kept = {what: state[f"optimiser.{name}.{what}"].clone() for what in _MOMENTS}
        optimiser.state[parameter] = {
            what: tensor if what == "step" else tensor.to(parameter.device) for what, tensor in kept.items()
        }
