"""The random numbers of a view, from a hash instead of a generator.

* ``view_seed`` names a view by 32 bits, from the picture's digest and the view number; the teacher cache stores it.
* ``uniforms`` turns a seed into numbers in [0, 1). A hash in counter mode has no state, so a view depends on nothing
  but itself, and unlike a library's generator its stream can never change under us.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

DRAWS = 16  # one BLAKE2b block of 64 bytes


def view_seed(digest: str, view: int) -> int:
    """Return the 32-bit seed of view ``view`` of the picture with this digest."""
    block = hashlib.blake2b(f"{digest}/{view}".encode(), digest_size=4).digest()
    return int.from_bytes(block, "little")


def uniforms(seed: int, *, stream: bytes = b"eyebright-view") -> npt.NDArray[np.float64]:
    """Return the ``DRAWS`` numbers in [0, 1) that belong to a seed; other streams give other numbers.

    Args:
        seed: Of the view.
        stream: At most 16 bytes.
    """
    block = hashlib.blake2b(seed.to_bytes(4, "little"), digest_size=4 * DRAWS, person=stream).digest()
    return np.frombuffer(block, dtype="<u4").astype(np.float64) / 2.0**32
