"""The optimiser of a stretch: which parameters decay, and who comes along.

* Weights of two dimensions and more decay; biases and normalisation do not.
* Projectors of a distillation come along at the same rate and do not decay: they are thrown away afterwards and have
  nothing to generalise.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from eyebright_learning.training.config import Training


def build_optimiser(
    network: nn.Module, config: Training, *, projectors: Sequence[nn.Parameter] = ()
) -> torch.optim.Optimizer:
    """Return a fresh optimiser of the network's trainable parameters and of ``projectors``."""
    trained = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if projectors:
        groups.append({"params": list(projectors), "weight_decay": 0.0})
    if config.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum, nesterov=config.momentum > 0)
    return torch.optim.AdamW(groups, lr=config.learning_rate)
