"""Test-time augmentation: the mean of what a model says to several looks at the same picture.

* The first look is the plain picture; look k > 0 is the picture's mild view number k - 1. Looks come from the picture's
  digest, so the same picture gets the same answer whatever stands beside it.
* Probabilities are averaged, each calibrated by the temperature that was fitted to plain pictures. The mean is softer
  than its parts, so its calibration is another one: numbers with and without are never mixed, and a screening unit,
  which looks once, is judged without.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from eyebright_common.errors import InputError
from eyebright_learning.evaluation.calibration import softmax
from eyebright_learning.evaluation.prediction import predict

if TYPE_CHECKING:
    from torch import nn

Pixels = npt.NDArray[np.uint8]
_CHUNK = 256  # pictures that are held as views at a time


def predict_tta(
    model: nn.Module,
    pixels: Pixels,
    digests: Sequence[str],
    *,
    views: int = 5,
    modality: str = "CFP",
    temperature: float = 1.0,
) -> npt.NDArray[np.float64]:
    """Return the mean probabilities ``[N, C]`` over looks at each picture.

    Args:
        model: Takes ``[B, 3, S, S]`` in 0–255, gives logits ``[B, C]``.
        pixels: uint8 ``[N, S, S, 3]``.
        digests: The pictures' digests, one each.
        views: Number of looks, the plain one included; 1 is plain prediction.
        modality: ``CFP`` or ``OCT``; says what views are plausible.
        temperature: Divides the logits of every look.

    Raises:
        InputError: there is no look, or the modality is unknown.
    """
    if views < 1:
        raise InputError("test-time augmentation needs at least the plain picture", value=views, fix="Use 5 views.")
    total = softmax(predict(model, pixels), temperature=temperature)
    for view in range(views - 1):
        total = total + softmax(_predict_view(model, pixels, digests, view, modality), temperature=temperature)
    return np.asarray(total / views, dtype=np.float64)


def _predict_view(
    model: nn.Module, pixels: Pixels, digests: Sequence[str], view: int, modality: str
) -> npt.NDArray[np.float32]:
    from eyebright_learning.views import augment

    logits = []
    for start in range(0, len(pixels), _CHUNK):
        part = slice(start, start + _CHUNK)
        seen = augment(pixels[part], digests[part], view, modality=modality)
        logits.append(predict(model, seen.permute(0, 2, 3, 1).byte().numpy()))
    return np.concatenate(logits) if logits else predict(model, pixels)
