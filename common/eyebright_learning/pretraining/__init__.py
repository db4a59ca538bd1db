"""I-JEPA: an encoder learns from unlabelled pictures by predicting what it was not shown (arXiv 2301.08243).

A context encoder sees a part of a picture's patches; a narrow predictor says what a slow copy of the encoder (which
sees everything) makes of the patches in other blocks. No labels, no pairs of views, no pixels to reconstruct.

* Written from the paper's equations. The official code and weights are for non-commercial use; nothing is taken from
  them.
* Start at ``pretrain``. The method is ``masks``, ``positions``, ``encoder``, ``predictor``, ``loss`` and ``schedules``;
  ``monitor`` says whether it still works, which the loss does not; ``progress`` is what is on disk.
* ``save_encoder`` writes what a mean-pooled teacher starts from; ``encoder`` says how.
* A few thousand pictures are few for this. Compare with the same teacher from random weights before believing in it.
"""

from eyebright_learning.pretraining.config import PretrainingConfig, smoke_encoder
from eyebright_learning.pretraining.encoder import (
    Encoder,
    EncoderConfig,
    build_encoder,
    save_encoder,
    teacher_state,
)
from eyebright_learning.pretraining.masks import Masks, MaskSampling, sample_masks
from eyebright_learning.pretraining.monitor import feature_deviation, neighbour_probe, rank_me
from eyebright_learning.pretraining.progress import PretrainingEpoch
from eyebright_learning.pretraining.run import PretrainingResult, pretrain

__all__ = [
    "Encoder",
    "EncoderConfig",
    "MaskSampling",
    "Masks",
    "PretrainingConfig",
    "PretrainingEpoch",
    "PretrainingResult",
    "build_encoder",
    "feature_deviation",
    "neighbour_probe",
    "pretrain",
    "rank_me",
    "sample_masks",
    "save_encoder",
    "smoke_encoder",
    "teacher_state",
]
