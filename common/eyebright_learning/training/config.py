"""How to train: one frozen configuration for every arm, with bad combinations refused by the knob's name."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from eyebright_common.errors import InputError
from eyebright_learning.views import AUGMENTATION_ID, get_family

Optimiser = Literal["adamw", "sgd"]
Precision = Literal["fp32", "bf16"]
Balance = Literal["none", "sampling", "loss", "prior"]

_AT_LEAST = {
    "epochs": 1,
    "batch_size": 2,
    "views": 1,
    "first_epoch": 0,
    "weight_decay": 0.0,
    "proximal_mu": 0.0,
    "seed": 0,
    "frozen_epochs": 0,
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
        balance: ``none``; ``sampling`` shows every class equally often; ``loss`` weighs the cross-entropy instead;
            ``prior`` adds the logarithm of the classes' shares to the logits under the term on labels, which also keeps
            a class that these pictures lack from being unlearned.
        views: Different views of each picture; epoch e shows view e modulo this.
        modality: What the views find plausible.
        view_family: How strong the views are; one of ``eyebright_learning.views.FAMILIES``.
        precision: ``bf16`` runs the network under autocast; losses are always fp32.
        proximal_mu: FedProx: pull towards the weights this stretch started from.
        seed: Of order, dropout and sampling.
        threads: Torch threads for this stretch; None leaves the setting alone.
        first_epoch: Epochs already behind us in the whole schedule.
        total_epochs: Length of the whole schedule; None means ``first_epoch + epochs``.
        frozen_epochs: Epochs at the start of the whole schedule in which only the head learns.
        frozen_statistics: Whether batch normalisation goes by the running statistics it begins with, and keeps them.
        backbone_learning_rate: Peak of everything but the head; None means ``learning_rate``.
        layer_decay: Rate of a layer as a part of the next one's, from the head down; 1 is off.
        averaging_start: Part of the schedule after which weights are averaged, epoch by epoch; 1 is off.
        averaging_rate: Rate while averaging, as a part of the peak.
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
    view_family: str = AUGMENTATION_ID
    precision: Precision = "fp32"
    proximal_mu: float = 0.0
    seed: int = 0
    threads: int | None = None
    first_epoch: int = 0
    total_epochs: int | None = None
    frozen_epochs: int = 0
    frozen_statistics: bool = False
    backbone_learning_rate: float | None = None
    layer_decay: float = 1.0
    averaging_start: float = 1.0
    averaging_rate: float = 0.1

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
        if self.balance not in get_args(Balance):
            raise InputError("training: unknown balance", value=self.balance, fix=f"Choose of {get_args(Balance)}.")
        get_family(self.view_family)
        if self.schedule_epochs < self.first_epoch + self.epochs:
            raise InputError(
                "training: total_epochs is shorter than first_epoch + epochs",
                value=self.total_epochs,
                fix="Give the length of the whole schedule.",
            )
        self._check_fine_tuning()
        self._check_averaging()

    def _check_fine_tuning(self) -> None:
        rate = self.backbone_learning_rate
        if rate is not None and not (math.isfinite(rate) and rate > 0.0):
            raise InputError(
                "training: backbone_learning_rate must be above 0", value=rate, fix="To freeze it, use frozen_epochs."
            )
        if not 0.0 < self.layer_decay <= 1.0:
            raise InputError("training: layer_decay must be in (0, 1]", value=self.layer_decay)
        if rate is not None and self.layer_decay < 1.0:
            raise InputError(
                "training: backbone_learning_rate and layer_decay both set the rate of the body",
                value=f"{rate} and {self.layer_decay}",
                fix="Leave one of them out.",
            )
        if self.frozen_epochs and self.frozen_epochs >= self.schedule_epochs:
            raise InputError(
                "training: frozen_epochs leaves no epoch in which the backbone learns",
                value=f"{self.frozen_epochs} of {self.schedule_epochs}",
                fix="Freeze for fewer epochs.",
            )

    def _check_averaging(self) -> None:
        if not 0.0 < self.averaging_start <= 1.0:
            raise InputError(
                "training: averaging_start is a part of the schedule, in (0, 1]", value=self.averaging_start
            )
        if not 0.0 < self.averaging_rate <= 1.0:
            raise InputError("training: averaging_rate is a part of the peak, in (0, 1]", value=self.averaging_rate)
        if not self.averages:
            return
        if self.frozen_statistics:
            raise InputError(
                "training: an average of weights measures the statistics afresh, and frozen_statistics keeps them",
                fix="Set averaging_start to 1, or frozen_statistics to False.",
            )
        if self.epochs != self.schedule_epochs:
            raise InputError(
                "training: averaging_start needs the whole schedule in one stretch",
                value=f"{self.epochs} of {self.schedule_epochs} epochs",
                fix="Set averaging_start to 1, or train all epochs at once.",
            )
        begun = max(self.frozen_epochs, self.warmup * self.schedule_epochs)
        if not begun < self.averaging_epoch < self.schedule_epochs:
            raise InputError(
                "training: averaging_start must come after warmup and frozen_epochs and leave an epoch to average",
                value=f"epoch {self.averaging_epoch} of {self.schedule_epochs}, which begin at {begun:g}",
                fix="Train for more epochs, or move averaging_start.",
            )

    @property
    def averages(self) -> bool:
        """Whether weights are averaged."""
        return self.averaging_start < 1.0

    @property
    def averaging_epoch(self) -> int:
        """First epoch, from 0 over the whole schedule, whose weights are averaged."""
        return round(self.averaging_start * self.schedule_epochs)

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
