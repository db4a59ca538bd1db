"""The pictures of a simulation after the first stage: prepared, grouped, dealt and split, on disk.

* ``pictures.json`` lists every decodable picture, gradable or not: the screening unit sees both kinds. Each names its
  holder (a hospital's index, or -1 for the operator) and its split.
* ``images.npz`` holds the prepared gradable ones; ``Picture.image`` is the row there, or -1.
* Training, validation and test hold gradable pictures only; what was left out is counted by reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from eyebright_common.durable import write_json
from eyebright_learning.data import PreparedImages

TRAIN, VALIDATION, TEST = "train", "validation", "test"
OPERATOR_HOLDER = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One decodable picture.

    Attributes:
        path: The file.
        patient: Patient id as written; stays on this machine.
        eye: ``R``, ``L`` or ``U``.
        label: Class index.
        group: Patient-or-duplicate group.
        site: Recorded site.
        holder: Hospital index, or -1 for the operator.
        split: ``train``, ``validation`` or ``test``.
        image: Row of its prepared pixels, or -1 when its quality was rejected.
        reasons: Why it was rejected.
    """

    path: str
    patient: str
    eye: str
    label: int
    group: int
    site: str
    holder: int
    split: str
    image: int
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """All pictures of a simulation.

    Attributes:
        pictures: Every decodable picture.
        images: Prepared pixels of the gradable ones.
        hospitals: Hospital names, in index order.
    """

    pictures: tuple[Picture, ...]
    images: PreparedImages
    hospitals: tuple[str, ...]

    def rows(self, wanted: Callable[[Picture], bool]) -> list[Picture]:
        """Return the gradable pictures that are wanted."""
        return [picture for picture in self.pictures if picture.image >= 0 and wanted(picture)]

    def part(self, holder: int | None, split: str) -> PreparedImages:
        """Return the prepared pictures of one holder (None: of all hospitals) and one split."""
        rows = self.rows(
            lambda p: p.split == split and (p.holder == holder if holder is not None else p.holder != OPERATOR_HOLDER)
        )
        return self.images.subset(np.array([row.image for row in rows], dtype=np.int64))

    def test_pictures(self) -> list[Picture]:
        """Return the hospitals' gradable test pictures, in the order of ``part(None, TEST)``."""
        return self.rows(lambda p: p.split == TEST and p.holder != OPERATOR_HOLDER)

    def save(self, folder: Path) -> None:
        """Write the data set; the small file last, so that a half-written one is never read."""
        folder.mkdir(parents=True, exist_ok=True)
        self.images.save(folder / "images.npz")
        rows = [asdict(picture) for picture in self.pictures]
        write_json(folder / "pictures.json", {"hospitals": list(self.hospitals), "pictures": rows})

    @classmethod
    def load(cls, folder: Path) -> Dataset:
        """Return what ``save`` wrote."""
        saved = json.loads((folder / "pictures.json").read_text())
        pictures = tuple(Picture(**{**row, "reasons": tuple(row["reasons"])}) for row in saved["pictures"])
        return cls(
            pictures=pictures,
            images=PreparedImages.load(folder / "images.npz"),
            hospitals=tuple(saved["hospitals"]),
        )
