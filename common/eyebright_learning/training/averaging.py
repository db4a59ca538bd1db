"""Stochastic weight averaging (Izmailov et al., UAI 2018, arXiv 1803.05407).

    w_avg = (1 / K) sum_k w_k        w_k: the weights at the end of the k-th averaged epoch

* The average ends up in the network, and so in the file that is saved: ``settle`` is the last word on the weights.
* Statistics of batch normalisation belong to no average of weights. They are estimated afresh on training views.
* Everything is in ``state_dict``, so an average can be interrupted and continued.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, update_bn


class WeightAverage(nn.Module):
    """The running mean of a network's weights."""

    def __init__(self, network: nn.Module) -> None:
        """Make room for the mean of a network of this shape; nothing is in it yet."""
        super().__init__()
        self.averaged = AveragedModel(network)

    @property
    def epochs(self) -> int:
        """How many epochs are in the mean."""
        return int(self.averaged.n_averaged)

    def update(self, network: nn.Module) -> None:
        """Take the weights as they are into the mean."""
        self.averaged.update_parameters(network)

    def settle(self, network: nn.Module, batches: Iterable[Tensor]) -> None:
        """Put the mean into ``network`` and estimate its batch statistics; the network is in training mode after.

        Args:
            network: Of the shape of the averaged one.
            batches: Training pictures ``[B, 3, S, S]`` in 0–255.
        """
        with torch.no_grad():
            for parameter, mean in zip(network.parameters(), self.averaged.module.parameters(), strict=True):
                parameter.copy_(mean)
        network.train()
        update_bn(batches, network)
