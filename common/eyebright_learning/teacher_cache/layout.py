"""The file: a header that says what it is, then fixed-size records.

::

    8 bytes   magic
    4 bytes   length of the header, uint32
    n bytes   header, canonical JSON: key, classes, dtype, images, views, temperature
    records   view-major (all pictures of view 0, then of view 1, …), each
              uint32      view seed
              float16 x C raw teacher logits

All little-endian. Raw logits, not probabilities: the distillation temperature, DIST and later losses stay free. The
teacher's own temperature is in the header. Sizes: 12 bytes per view at four classes.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
from pydantic import ValidationError

from eyebright_common.documents import Document
from eyebright_learning.teacher_cache.key import CacheKey

MAGIC = b"EYBCACH1"
_MAX_HEADER_BYTES = 1 << 20


class CacheHeader(Document):
    """What stands before the records.

    Attributes:
        key: What the records were made from.
        classes: Number of logits per record, in the task's class order.
        images: Pictures per view.
        views: Views per picture when the file is complete.
        temperature: The teacher's fitted temperature.
        dtype: Of the logits.
    """

    key: CacheKey
    classes: int
    images: int
    views: int
    temperature: float
    dtype: str = "<f2"

    @property
    def records(self) -> int:
        """Number of records of a complete file."""
        return self.images * self.views

    def record_dtype(self) -> np.dtype[np.void]:
        """Return the packed layout of one record."""
        return np.dtype([("seed", "<u4"), ("logits", self.dtype, (self.classes,))])

    def to_bytes(self) -> bytes:
        """Return magic, length and JSON."""
        text = self.model_dump_json().encode()
        return MAGIC + struct.pack("<I", len(text)) + text


def read_header(file: BinaryIO) -> CacheHeader | None:
    """Return the header and leave ``file`` at the first record; None when this is not a whole, known header."""
    start = file.read(len(MAGIC) + 4)
    if len(start) < len(MAGIC) + 4 or start[: len(MAGIC)] != MAGIC:
        return None
    (length,) = struct.unpack("<I", start[len(MAGIC) :])
    if length > _MAX_HEADER_BYTES:
        return None
    try:
        return CacheHeader.model_validate_json(file.read(length))
    except ValidationError:
        return None


def held_records(path: Path, header: CacheHeader) -> int:
    """Return how many whole records of this very header a file holds; 0 when it is absent or of something else."""
    try:
        with path.open("rb") as file:
            if read_header(file) != header:
                return 0
            body = path.stat().st_size - file.tell()
    except OSError:
        return 0
    return min(body // header.record_dtype().itemsize, header.records)
