"""The seam between screening and whatever computes: one picture in, logits and maps out."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from eyebright_common.errors import ReleaseError
from eyebright_common.release import Precision

FloatArray = npt.NDArray[np.float32]


class Runtime(Protocol):
    """A loaded network.

    Attributes:
        name: Stable name of the runtime, e.g. ``onnxruntime-cpu``; stands in receipts and reports.
        classes: Number of classes C.
        image_size: Side S of the square input, pixels.
        precision: What it computes in; decides how far golden cases may be apart.
        notices: What a person must know about how this machine computes; empty when all is well.
    """

    @property
    def name(self) -> str:
        """Stable name of the runtime."""

    @property
    def classes(self) -> int:
        """Number of classes C."""

    @property
    def image_size(self) -> int:
        """Side S of the square input, pixels."""

    @property
    def precision(self) -> Precision:
        """What it computes in."""

    @property
    def notices(self) -> tuple[str, ...]:
        """What a person must know about how this machine computes."""

    def run(self, image: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ``logits [1, C]`` and ``cam [1, C, h, w]`` for ``image [1, 3, S, S]``, RGB, range 0–255."""

    def close(self) -> None:
        """Let go of what is held; the runtime is not used afterwards."""


def require_input(image: FloatArray, image_size: int) -> None:
    """Return when ``image`` is what a network of this size takes.

    Raises:
        ReleaseError: it has another shape or type.
    """
    expected = (1, 3, image_size, image_size)
    if image.shape != expected or image.dtype != np.float32:
        raise ReleaseError(
            f"the network takes float32 {list(expected)}",
            value=f"{image.dtype} {list(image.shape)}",
            fix="Prepare the picture with eyebright_common.imaging at the release's image size.",
        )
