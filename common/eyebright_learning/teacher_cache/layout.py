"""The file: a header that says what it is, then what features were turned by, then fixed-size records.

::

    8 bytes   magic
    4 bytes   length of the header, uint32
    n bytes   header, canonical JSON padded with spaces: key, classes, dtype, images, views, temperature, features
    bases     only with features: float32 3 x D x w (tokens; query and key; value)
    records   view-major (all pictures of view 0, then of view 1, …), each
              uint32              view seed
              float16 x C         raw teacher logits
              float16 x 4 x n x w pooled tokens, query, key, value; only in views 0 to ``features.views - 1``

* All little-endian. Raw logits, not probabilities: the distillation temperature, DIST and later losses stay free. The
  teacher's own temperature is in the header. Sizes: 12 bytes per view at four classes.
* Features stand inside the record, so one pass of the teacher fills both and the count of records says how far a
  killed build came.
* A named file never changes, so it is mapped, not read: memory does not grow with it.

``docs/teacher-cache.md`` says the same for somebody who writes a reader.
"""

from __future__ import annotations

import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError, model_validator

from eyebright_common.documents import Document
from eyebright_learning.teacher_cache.key import CacheKey

MAGIC = b"EYBCACH2"
MAX_FEATURE_VIEWS = 4
FEATURE_PARTS = 4  # tokens, query, key, value
BASES = 3  # tokens; query and key together; value
_START_BYTES = len(MAGIC) + 4
# What we write is padded to one page: sizes are known before the work starts, and what follows is aligned.
_PREAMBLE_BYTES = 4096
_MAX_HEADER_BYTES = 1 << 20


class FeatureHeader(Document):
    """What stands in the header of a cache with features.

    Attributes:
        method: Version of pooling and reduction.
        views: Views 0 to ``views - 1`` carry features.
        tokens: n, tokens per picture after pooling.
        width: w, directions that were kept.
        teacher_width: D of the teacher.
        retained: Part of the sample's energy that each basis keeps, by name.
    """

    method: str
    views: int = Field(ge=1, le=MAX_FEATURE_VIEWS)
    tokens: int = Field(ge=1)
    width: int = Field(ge=1)
    teacher_width: int = Field(ge=1)
    retained: dict[str, float] = Field(default_factory=dict)


class CacheHeader(Document):
    """What stands before the records.

    Attributes:
        key: What the records were made from.
        classes: Number of logits per record, in the task's class order.
        images: Pictures per view.
        views: Views per picture when the file is complete.
        temperature: The teacher's fitted temperature.
        dtype: Of logits and features.
        features: None when no view carries features.
    """

    key: CacheKey
    classes: int = Field(ge=1)
    images: int = Field(ge=1)
    views: int = Field(ge=1)
    temperature: float = Field(gt=0.0)
    dtype: str = Field(default="<f2", pattern="^<f2$")
    features: FeatureHeader | None = None

    @property
    def records(self) -> int:
        """Number of records of a complete file."""
        return self.images * self.views

    @property
    def feature_views(self) -> int:
        """Number of views with features, from view 0 on."""
        return 0 if self.features is None else self.features.views

    @property
    def bases_bytes(self) -> int:
        """Size of the bases."""
        return 4 * math.prod(self.bases_shape)

    @property
    def file_bytes(self) -> int:
        """Size of a complete file of ours."""
        return self.records_start + self.bytes_of(self.records)

    @property
    def records_start(self) -> int:
        """Where the first record stands in a file of ours."""
        return _PREAMBLE_BYTES + self.bases_bytes

    @property
    def bases_shape(self) -> tuple[int, int, int]:
        """Three bases of D rows and w columns; no rows without features."""
        return (BASES, 0, 0) if self.features is None else (BASES, self.features.teacher_width, self.features.width)

    def record_dtype(self, view: int) -> np.dtype[np.void]:
        """Return the packed layout of one record of view ``view``."""
        fields: list[tuple[str, str, tuple[int, ...]]] = [("seed", "<u4", ()), ("logits", self.dtype, (self.classes,))]
        if self.features is not None and view < self.features.views:
            fields.append(("features", self.dtype, (FEATURE_PARTS, self.features.tokens, self.features.width)))
        return np.dtype(fields)

    def bytes_of(self, records: int) -> int:
        """Return the size of the first ``records`` records."""
        wide = min(records, self.feature_views * self.images)
        return wide * self.record_dtype(0).itemsize + (records - wide) * self.record_dtype(self.views).itemsize

    def without_findings(self) -> CacheHeader:
        """Return the header as it was planned, before the bases were found."""
        if self.features is None:
            return self
        return self.model_copy(update={"features": self.features.model_copy(update={"retained": {}})})

    @model_validator(mode="after")
    def _feature_views_exist(self) -> Self:
        if self.feature_views > self.views:
            raise ValueError("more views with features than views")
        return self

    def to_bytes(self) -> bytes:
        """Return magic, length and padded JSON, one page together."""
        text = self.model_dump_json().encode()
        assert len(text) <= _PREAMBLE_BYTES - _START_BYTES, "the header has outgrown its page"
        return MAGIC + struct.pack("<I", _PREAMBLE_BYTES - _START_BYTES) + text.ljust(_PREAMBLE_BYTES - _START_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheRecords:
    """What follows the header, mapped from disk.

    Attributes:
        bases: float32 ``[3, D, w]``.
        wide: Records with features, ``[feature views, images]``.
        narrow: Records of the other views, ``[views - feature views, images]``.
    """

    bases: npt.NDArray[np.float32]
    wide: npt.NDArray[np.void]
    narrow: npt.NDArray[np.void]

    def of_view(self, view: int) -> npt.NDArray[np.void]:
        """Return the records of one view, ``[images]``."""
        wide = len(self.wide)
        records: npt.NDArray[np.void] = self.wide[view] if view < wide else self.narrow[view - wide]
        return records


def planned_bytes(
    *,
    images: int,
    views: int,
    classes: int,
    feature_views: int = 0,
    tokens: int = 0,
    width: int = 0,
    teacher_width: int = 0,
) -> int:
    """Return the exact size of a complete file of ours.

    Args:
        images: Pictures per view.
        views: Views per picture.
        classes: Logits per record.
        feature_views: Views that carry features.
        tokens: n, tokens per picture after pooling.
        width: w, directions that are kept.
        teacher_width: D of the teacher.
    """
    logits = images * views * (4 + 2 * classes)
    features = images * feature_views * FEATURE_PARTS * tokens * width * 2
    bases = BASES * teacher_width * width * 4 if feature_views else 0
    return _PREAMBLE_BYTES + bases + logits + features


def read_header(file: BinaryIO) -> CacheHeader | None:
    """Return the header and leave ``file`` behind it; None when this is not a whole, known header."""
    start = file.read(_START_BYTES)
    if len(start) < _START_BYTES or start[: len(MAGIC)] != MAGIC:
        return None
    (length,) = struct.unpack("<I", start[len(MAGIC) :])
    if length > _MAX_HEADER_BYTES:
        return None
    try:
        return CacheHeader.model_validate_json(file.read(length))
    except ValidationError:
        return None


def map_cache(path: Path) -> tuple[CacheHeader, CacheRecords] | None:
    """Return a complete file without reading its records; None when it is absent, incomplete or something else."""
    try:
        with path.open("rb") as file:
            header = read_header(file)
            if header is None:
                return None
            offset = file.tell()
            content = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), dtype=np.uint8)
    except OSError:
        return None
    bases_end = offset + header.bases_bytes
    wide_end = bases_end + header.bytes_of(header.feature_views * header.images)
    if len(content) != bases_end + header.bytes_of(header.records):
        return None
    return header, CacheRecords(
        bases=content[offset:bases_end].view("<f4").reshape(header.bases_shape),
        wide=content[bases_end:wide_end].view(header.record_dtype(0)).reshape(header.feature_views, header.images),
        narrow=content[wide_end:].view(header.record_dtype(header.views)).reshape(-1, header.images),
    )
