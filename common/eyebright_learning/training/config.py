"""How to train: one frozen configuration for every arm, with bad combinations refused by the knob's name."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from eyebright_common.errors import InputError

Optimiser = Literal["adamw", "sgd"]
Precision = Literal["fp32", "bf16"]
Balance = Literal["none", "sampling", "loss"]

_AT_LEAST = {
    "epochs": 1,
    "batch_size": 2,
    "views": 1,
    "first_epoch": 0,
    "weight_decay": 0.0,
    "proximal_mu": 0.0,
    "seed": 0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One stretch of training, possibly a part of a longer schedule.

    Attributes:
        epochs: Passes over the pictures in this stretch.
        batch_size: Aim; batches are made equal in size, so the true size may differ (see ``batches``).
        learning_rate: Peak.
        weight_decay: Decoupled for AdamW; never on biases and normalisation.
        optimiser: ``adamw`` or ``sgd`` (Nesterov momentum).
        momentum: Of SGD.
        warmup: Part of the whole schedule over which the rate rises.
        final_rate: Rate at the end, as a part of the peak.
        clip_norm: Largest norm of the gradient; 0 leaves it alone.
        balance: ``none``; ``sampling`` shows every class equally often; ``loss`` weighs the cross-entropy instead.
        views: Different views of each picture; epoch e shows view e modulo this.
        modality: What the views find plausible.
        precision: ``bf16`` runs the network under autocast; losses are always fp32.
        proximal_mu: FedProx: pull towards the weights this stretch started from.
        seed: Of order, dropout and sampling.
        threads: Torch threads for this stretch; None leaves the setting alone.
        first_epoch: Epochs already behind us in the whole schedule.
        total_epochs: Length of the whole schedule; None means ``first_epoch + epochs``.
    """

    epochs: int
    batch_size: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    optimiser: Optimiser = "adamw"
    momentum: float = 0.9
    warmup: float = 0.1
    final_rate: float = 0.01
    clip_norm: float = 5.0
    balance: Balance = "none"
    views: int = 8
    modality: str = "CFP"
    precision: Precision = "fp32"
    proximal_mu: float = 0.0
    seed: int = 0
    threads: int | None = None
    first_epoch: int = 0
    total_epochs: int | None = None

    def __post_init__(self) -> None:
        for knob, least in _AT_LEAST.items():
            value = getattr(self, knob)
            if not (math.isfinite(value) and value >= least):
                raise InputError(f"training: {knob} must be at least {least}", value=value)
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0.0):
            raise InputError("training: learning_rate must be above 0", value=self.learning_rate)
        if not 0.0 <= self.warmup < 1.0:
            raise InputError("training: warmup is a part of the schedule, in [0, 1)", value=self.warmup)
        for knob, choices in (("optimiser", ("adamw", "sgd")), ("precision", ("fp32", "bf16"))):
            if getattr(self, knob) not in choices:
                raise InputError(f"training: unknown {knob}", value=getattr(self, knob), fix=f"Choose of {choices}.")
        if self.balance not in ("none", "sampling", "loss"):
            raise InputError("training: unknown balance", value=self.balance)
        if self.schedule_epochs < self.first_epoch + self.epochs:
            raise InputError(
                "training: total_epochs is shorter than first_epoch + epochs",
                value=self.total_epochs,
                fix="Give the length of the whole schedule.",
            )

    @property
    def schedule_epochs(self) -> int:
        """Length of the whole schedule in epochs."""
        return self.first_epoch + self.epochs if self.total_epochs is None else self.total_epochs


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentTraining(Training):
    """Training of a student; the defaults suit small students and a few hundred pictures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherTraining(Training):
    """Training of a teacher; the defaults suit small transformers and a thousand pictures.

    Attributes:
        views: As in ``Training``; a teacher sees a new view each epoch.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    views: int = 1_000_000
    balance: Balance = "sampling"
