"""Sample pictures as data URIs, within a budget: the page must stay small enough to be mailed.

The largest size whose total fits is used for all of them, so that no picture looks better treated than another.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from eyebright_common.errors import InputError
from eyebright_simulations.report.evidence import Picture, SampleVerdict

MOST_SAMPLES = 24
BUDGET_BYTES = 1_900_000
_SIZES = ((320, 82), (256, 78), (192, 72), (128, 62), (96, 50))


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSample:
    """A sample verdict with its pictures ready for an ``<img>``."""

    sample: SampleVerdict
    picture: str
    overlay: str | None
    width: int
    height: int


def shown_samples(samples: Sequence[SampleVerdict], *, budget: int = BUDGET_BYTES) -> list[ShownSample]:
    """Return the first ``MOST_SAMPLES`` samples with data URIs of at most ``budget`` characters together.

    Raises:
        InputError: a picture is not RGB uint8, or even the smallest size does not fit.
    """
    for side, quality in _SIZES:
        shown = [_shown(sample, side, quality) for sample in samples[:MOST_SAMPLES]]
        if sum(len(s.picture) + len(s.overlay or "") for s in shown) <= budget:
            return shown
    raise InputError("the sample pictures do not fit into the report", value=budget, fix="Show fewer samples.")


def _shown(sample: SampleVerdict, side: int, quality: int) -> ShownSample:
    picture = _small(sample.picture, side)
    return ShownSample(
        sample=sample,
        picture=_uri(picture, quality),
        overlay=None if sample.overlay is None else _uri(_small(sample.overlay, side), quality),
        width=picture.width,
        height=picture.height,
    )


def _small(pixels: Picture, side: int) -> Image.Image:
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise InputError(
            "a sample picture must be RGB uint8 [H, W, 3]",
            value=f"{pixels.dtype} {list(pixels.shape)}",
            fix="Decode it with the imaging room.",
        )
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def _uri(image: Image.Image, quality: int) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
