"""Parity: the network that was trained and the file that ships give the same numbers.

Measured on pictures as the file will see them, plus noise, which reaches activations that pictures do not. Pictures go
through the network in batches and through the file one by one, as on a unit.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from eyebright_server.release.reference_runtime import Logits, Pixels, ReferenceRuntime

if TYPE_CHECKING:
    from eyebright_learning.models import Student

NOISE_PICTURES = 4
_BATCH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """How far apart network and file are.

    Attributes:
        pictures: On how many pictures.
        max_abs_logit_difference: Largest difference of any logit.
        max_abs_cam_difference: Largest difference of any place of any map.
        source_logits: The network's logits of the given pictures, without the noise, ``[N, C]``.
    """

    pictures: int
    max_abs_logit_difference: float
    max_abs_cam_difference: float
    source_logits: Logits


def measure_parity(student: Student, runtime: ReferenceRuntime, pixels: Pixels) -> Parity:
    """Compare a student with its file on prepared pictures uint8 ``[N, 3, S, S]`` and on noise."""
    noise = np.random.default_rng(0).integers(0, 256, (NOISE_PICTURES, *pixels.shape[1:]), dtype=np.uint8)
    everything = np.concatenate([pixels, noise])
    logits, cams = _source_outputs(student, everything)
    found = [runtime.run(picture[None].astype(np.float32)) for picture in everything]
    return Parity(
        pictures=len(everything),
        max_abs_logit_difference=_largest(np.concatenate([logit for logit, _ in found]), logits),
        max_abs_cam_difference=_largest(np.concatenate([cam for _, cam in found]), cams),
        source_logits=logits[: len(pixels)],
    )


def _source_outputs(student: Student, pixels: Pixels) -> tuple[Logits, npt.NDArray[np.float32]]:
    import torch

    network = copy.deepcopy(student).cpu().eval()
    logits, cams = [], []
    with torch.inference_mode():
        for start in range(0, len(pixels), _BATCH):
            output = network.forward_all(torch.from_numpy(pixels[start : start + _BATCH]).float())
            logits.append(output.logits.numpy())
            cams.append(output.cam.numpy())
    return np.concatenate(logits), np.concatenate(cams)


def _largest(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
    difference = float(np.abs(a - b).max())
    return difference if np.isfinite(difference) else float("inf")
