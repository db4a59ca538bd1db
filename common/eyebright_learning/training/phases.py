"""The phases of a schedule: first the head alone, then everything, then an average of where the weights have been.

* While the body is frozen its weights get no gradient, and its batch normalisation uses, and keeps, the statistics it
  came with: pictures of another kind would spoil them before the head can make sense of the features.
* The head is the last linear layer. What a network calls it is known here and nowhere else.
* Epochs count over the whole schedule, so federated stretches freeze and thaw at the same place as one long run.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from eyebright_common.errors import InputError
from eyebright_learning.models import Student, Teacher
from eyebright_learning.models.hybrid import HybridNetwork
from eyebright_learning.training.averaging import WeightAverage
from eyebright_learning.training.config import Training


def body_of(network: nn.Module) -> nn.Module:
    """Return what a teacher wraps, or the network itself."""
    return network.network if isinstance(network, Teacher) else network


def head_of(network: nn.Module) -> nn.Module:
    """Return the layer from pooled features to logits.

    Raises:
        InputError: the network does not say which of its layers that is.
    """
    inner = body_of(network)
    if isinstance(inner, Student):
        return inner.head
    if isinstance(inner, HybridNetwork):
        return inner.classifier
    ask = getattr(inner, "get_classifier", None)
    head = None if ask is None else ask()
    if not isinstance(head, nn.Module) or not any(True for _ in head.parameters()):
        raise InputError(
            "training: head and backbone of this network cannot be told apart",
            value=type(inner).__name__,
            fix="Set frozen_epochs to 0 and leave backbone_learning_rate out, or choose another network.",
        )
    return head


class Phases:
    """What of a network learns in which epoch.

    Attributes:
        average: Of the weights; None where the configuration asks for none.
    """

    def __init__(self, network: nn.Module, config: Training) -> None:
        """Take the network as it is: what is frozen now stays frozen in every phase.

        Raises:
            InputError: a frozen body is asked of a network whose head is not known.
        """
        self.network, self.config = network, config
        self.average = WeightAverage(network) if config.averages else None
        head = set(head_of(network).modules()) if config.frozen_epochs else set()
        of_head = {parameter for module in head for parameter in module.parameters(recurse=False)}
        learning = [p for p in network.parameters() if p.requires_grad]
        self._body = [p for p in learning if p not in of_head] if config.frozen_epochs else []
        self._statistics = [
            m for m in network.modules() if isinstance(m, _BatchNorm) and (config.frozen_statistics or m not in head)
        ]

    def begin(self, epoch: int) -> None:
        """Put the network into the mode of ``epoch``, counted from 0 over the whole schedule."""
        self.network.train()
        frozen = epoch < self.config.frozen_epochs
        for parameter in self._body:
            parameter.requires_grad_(not frozen)
        if frozen or self.config.frozen_statistics:
            for module in self._statistics:
                module.eval()

    def end(self, epoch: int) -> None:
        """Take the weights at the end of ``epoch`` into the average, where that has begun."""
        if self.average is not None and epoch >= self.config.averaging_epoch:
            self.average.update(self.network)

    def settle(self, batches: Iterable[Tensor]) -> None:
        """Leave the average, if there is one, in the network.

        Args:
            batches: Pictures ``[B, 3, S, S]`` for batch normalisation; not looked at without an average.
        """
        if self.average is not None:
            self.average.settle(self.network, batches)

    def thaw(self) -> None:
        """Leave no parameter frozen that was not frozen before, whatever stopped the training."""
        for parameter in self._body:
            parameter.requires_grad_(True)
