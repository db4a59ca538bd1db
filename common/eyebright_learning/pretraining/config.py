"""How to pre-train: one frozen configuration, with bad combinations refused by the knob's name.

The paper's own numbers (batch 2048, predictor 384 x 6, 300 epochs of ImageNet) are for sixteen large GPUs. The defaults
are a small recipe for tens of thousands of pictures; rate and momentum must be found anew for another batch size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from eyebright_common.errors import InputError
from eyebright_learning.pretraining.encoder import EncoderConfig
from eyebright_learning.pretraining.masks import MaskSampling

Precision = Literal["fp32", "bf16"]

_AT_LEAST = {
    "epochs": 1,
    "batch_size": 2,
    "predictor_depth": 1,
    "predictor_width": 4,
    "weight_decay": 0.0,
    "final_weight_decay": 0.0,
    "start_rate": 0.0,
    "final_rate": 0.0,
    "rank_floor": 0.0,
    "deviation_floor": 0.0,
    "neighbours": 1,
    "seed": 0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainingConfig:
    """One whole pre-training.

    Attributes:
        epochs: Passes over the pictures.
        batch_size: Over all processes; batches are made equal in size, so the true size may differ.
        learning_rate: Peak.
        start_rate: Rate the warm-up starts from.
        final_rate: Rate at the end.
        warmup: Part of the steps over which the rate rises.
        weight_decay: At the start; never on biases and other one-dimensional weights.
        final_weight_decay: At the end.
        momentum: How much of itself the target encoder keeps per step, at the start; rises to 1.
        predictor_width: Length of the predictor's tokens.
        predictor_depth: Blocks of the predictor.
        masks: How context and targets are drawn.
        crop_scale: Least and largest part of a picture that a view shows.
        precision: ``bf16`` runs the networks under autocast; the loss is always fp32.
        rank_floor: RankMe below this is reported as collapse.
        deviation_floor: Feature deviation below this is reported as collapse.
        neighbours: k of the neighbour probe.
        seed: Of order, views, masks and the predictor's start.
        threads: Torch threads; None leaves the setting alone.
    """

    epochs: int
    batch_size: int = 128
    learning_rate: float = 5e-4
    start_rate: float = 1e-4
    final_rate: float = 1e-6
    warmup: float = 0.1
    weight_decay: float = 0.04
    final_weight_decay: float = 0.4
    momentum: float = 0.996
    predictor_width: int = 192
    predictor_depth: int = 4
    masks: MaskSampling = field(default_factory=MaskSampling)
    crop_scale: tuple[float, float] = (0.3, 1.0)
    precision: Precision = "fp32"
    rank_floor: float = 1.5
    deviation_floor: float = 0.02
    neighbours: int = 20
    seed: int = 0
    threads: int | None = None

    def __post_init__(self) -> None:
        for knob, least in _AT_LEAST.items():
            value = getattr(self, knob)
            if not (math.isfinite(value) and value >= least):
                raise InputError(f"pre-training: {knob} must be at least {least}", value=value)
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0.0):
            raise InputError("pre-training: learning_rate must be above 0", value=self.learning_rate)
        for knob in ("start_rate", "final_rate"):
            if getattr(self, knob) > self.learning_rate:
                raise InputError(f"pre-training: {knob} must not exceed learning_rate", value=getattr(self, knob))
        for knob in ("warmup", "momentum"):
            if not 0.0 <= getattr(self, knob) < 1.0:
                raise InputError(f"pre-training: {knob} must be in [0, 1)", value=getattr(self, knob))
        if self.final_weight_decay < self.weight_decay:
            raise InputError(
                "pre-training: final_weight_decay must not be below weight_decay", value=self.final_weight_decay
            )
        low, high = self.crop_scale
        if not 0.0 < low <= high <= 1.0:
            raise InputError("pre-training: crop_scale must rise within (0, 1]", value=self.crop_scale)
        if self.precision not in ("fp32", "bf16"):
            raise InputError("pre-training: unknown precision", value=self.precision, fix="Choose fp32 or bf16.")

    @classmethod
    def smoke(cls, *, epochs: int = 8, seed: int = 0) -> PretrainingConfig:
        """Return a size that passes through every line in seconds on a processor; it learns next to nothing of use."""
        return cls(
            epochs=epochs,
            batch_size=16,
            learning_rate=1e-3,
            start_rate=2e-4,
            momentum=0.99,
            predictor_width=32,
            predictor_depth=2,
            threads=1,
            seed=seed,
        )


def smoke_encoder(*, image_size: int = 64, seed: int = 0) -> EncoderConfig:
    """Return the encoder that goes with ``PretrainingConfig.smoke``: 8 x 8 patches of a 64 px picture, width 64."""
    return EncoderConfig(architecture="test_vit", image_size=image_size, patch_size=8, seed=seed)
