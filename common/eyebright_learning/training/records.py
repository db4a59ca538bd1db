"""What a stretch of training says about itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """One epoch, for a progress display.

    Attributes:
        epoch: From 1, in this stretch.
        epochs: Epochs in this stretch.
        losses: Mean of ``total`` and of each part over the epoch.
        learning_rate: Of the last step.
    """

    epoch: int
    epochs: int
    losses: dict[str, float]
    learning_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """What a stretch of training did.

    Attributes:
        history: One record per epoch.
        steps: Optimiser steps.
        examples: Pictures seen, repeats counted.
    """

    history: tuple[EpochRecord, ...]
    steps: int
    examples: int

    @property
    def losses(self) -> dict[str, float]:
        """Mean losses of the last epoch."""
        return self.history[-1].losses


OnEpoch = Callable[[EpochRecord], None]
