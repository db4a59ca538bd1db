"""The pictures of one split after ``imaging.prepare``: pixels, labels, and whom they belong to.

* One array of equal squares; everything slow or fallible (decoding, field of view, cropping) is behind us.
* A picture is known by the SHA-256 of its prepared pixels. Views and the teacher cache are keyed by it, so they
  survive a reordering of the rows and never survive a change of the pixels.
* ``groups`` is the patient-or-duplicate cluster: what resampling and splitting may not tear apart.
* On disk: one NPZ without objects, written durably. Reading checks every shape before anything is used.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eyebright_common.durable import replacing
from eyebright_common.errors import InputError

_FIELDS = ("pixels", "labels", "digests", "patients", "eyes", "groups")


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedImages:
    """Prepared pictures of one split.

    Attributes:
        pixels: uint8 ``[N, S, S, 3]``, RGB.
        labels: int64 ``[N]``, class index in logit order.
        digests: For each picture, the SHA-256 of its prepared pixels, in hexadecimal.
        patients: For each picture, its patient; empty when unknown.
        eyes: For each picture, ``R``, ``L`` or ``U``.
        groups: int64 ``[N]``, patient-or-duplicate cluster.
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    digests: tuple[str, ...]
    patients: tuple[str, ...]
    eyes: tuple[str, ...]
    groups: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        count = len(self.pixels)
        shape = self.pixels.shape
        if self.pixels.dtype != np.uint8 or len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3:
            raise InputError("prepared pictures must be uint8 [N, S, S, 3]", value=f"{self.pixels.dtype} {shape}")
        for name in _FIELDS[1:]:
            if len(getattr(self, name)) != count:
                raise InputError(f"prepared pictures: {count} pictures but another number of {name}")

    @classmethod
    def of(
        cls,
        pixels: npt.NDArray[np.uint8],
        labels: Sequence[int] | npt.NDArray[np.int64],
        *,
        patients: Sequence[str] | None = None,
        eyes: Sequence[str] | None = None,
        groups: Sequence[int] | npt.NDArray[np.int64] | None = None,
    ) -> PreparedImages:
        """Return prepared pictures with their digests computed; without groups, each patient is one.

        Raises:
            InputError: the parts do not fit together.
        """
        named = tuple(patients) if patients is not None else tuple(f"image-{i}" for i in range(len(pixels)))
        if groups is None:
            groups = np.unique(np.asarray(named, dtype=np.str_), return_inverse=True)[1]
        return cls(
            pixels=pixels,
            labels=np.asarray(labels, dtype=np.int64),
            digests=tuple(hashlib.sha256(picture.tobytes()).hexdigest() for picture in pixels),
            patients=named,
            eyes=tuple(eyes) if eyes is not None else ("U",) * len(pixels),
            groups=np.asarray(groups, dtype=np.int64),
        )

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def size(self) -> int:
        """Side of the pictures in pixels."""
        return int(self.pixels.shape[1])

    def digest(self) -> str:
        """Return the SHA-256 over all pictures in order and their side: what the teacher cache calls manifest hash."""
        return hashlib.sha256("\n".join((str(self.size), *self.digests)).encode()).hexdigest()

    def subset(self, index: npt.ArrayLike) -> PreparedImages:
        """Return the pictures at ``index`` (positions or a boolean mask), in that order."""
        mask = np.asarray(index)
        where = np.flatnonzero(mask) if mask.dtype == np.bool_ else mask.astype(np.int64)
        return PreparedImages(
            pixels=self.pixels[where],
            labels=self.labels[where],
            digests=tuple(self.digests[i] for i in where),
            patients=tuple(self.patients[i] for i in where),
            eyes=tuple(self.eyes[i] for i in where),
            groups=self.groups[where],
        )

    @classmethod
    def joined(cls, parts: Sequence[PreparedImages]) -> PreparedImages:
        """Return several sets as one, in order. Groups must already mean the same in all of them.

        Raises:
            InputError: there is nothing to join, or the sides differ.
        """
        if not parts or len({part.size for part in parts}) > 1:
            raise InputError("prepared pictures to join must share one side", value=[part.size for part in parts])
        return cls(
            pixels=np.concatenate([part.pixels for part in parts]),
            labels=np.concatenate([part.labels for part in parts]),
            digests=tuple(d for part in parts for d in part.digests),
            patients=tuple(p for part in parts for p in part.patients),
            eyes=tuple(e for part in parts for e in part.eyes),
            groups=np.concatenate([part.groups for part in parts]),
        )

    def save(self, path: Path) -> None:
        """Write the pictures to an NPZ without objects; the file appears whole or not at all."""
        arrays: dict[str, npt.NDArray[Any]] = {
            "pixels": self.pixels,
            "labels": self.labels,
            "groups": self.groups,
            **{name: np.asarray(getattr(self, name), dtype=np.str_) for name in ("digests", "patients", "eyes")},
        }
        with replacing(path) as file:
            np.savez(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path) -> PreparedImages:
        """Return what ``save`` wrote.

        Raises:
            InputError: the file is missing, damaged or of another kind.
        """
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                arrays = {name: file[name] for name in _FIELDS}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(
                "prepared pictures cannot be read", value=path, fix="Prepare the split again; the file is derived."
            ) from error
        return cls(
            pixels=arrays["pixels"],
            labels=arrays["labels"].astype(np.int64),
            groups=arrays["groups"].astype(np.int64),
            digests=tuple(map(str, arrays["digests"])),
            patients=tuple(map(str, arrays["patients"])),
            eyes=tuple(map(str, arrays["eyes"])),
        )
