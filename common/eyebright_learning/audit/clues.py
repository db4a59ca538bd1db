"""What may give a label away without a look at the retina, and the table in which it is written down.

* ``site``, ``camera``: where a picture comes from. ``file``: format, size and bytes per pixel, which say how it was
  saved. ``shape``: width, height and aspect, which say how it was cut. None of them can hold disease.
* ``image_statistics``: mean and variance of each colour channel over the whole picture, with its shape. Disease may be
  in there (a cataract is hazy), so this clue is a reason to look, not a proof.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eyebright_common.errors import InputError
from eyebright_common.tasks import ScreeningTask
from eyebright_learning.evaluation.cases import Floats, Integers
from eyebright_learning.evaluation.estimates import Estimate

# Clue → whether it can hold disease itself.
CLUES: dict[str, bool] = {"site": False, "camera": False, "file": False, "shape": False, "image_statistics": True}
CLUE_WORDS = {
    "site": "site",
    "camera": "camera",
    "file": "file format and size",
    "shape": "picture shape",
    "image_statistics": "image statistics",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AuditTable:
    """One row per labelled picture.

    Attributes:
        task: Names the classes.
        labels: int64 ``[N]``, class indices.
        groups: int64 ``[N]``, patient-or-duplicate cluster.
        sites: Site of each picture, empty where unknown.
        cameras: Camera of each picture, empty where unknown.
        file: ``[N, F1]``, numbers about the file.
        shape: ``[N, F2]``, numbers about width and height.
        colour: ``[N, F3]``, numbers about the channels.
    """

    task: ScreeningTask
    labels: Integers
    groups: Integers
    sites: tuple[str, ...]
    cameras: tuple[str, ...]
    file: Floats
    shape: Floats
    colour: Floats

    def __post_init__(self) -> None:
        columns = (self.groups, self.sites, self.cameras, self.file, self.shape, self.colour)
        if any(len(column) != len(self.labels) for column in columns):
            raise InputError("the columns of an audit table differ in length", value=[len(c) for c in columns])

    def measurements(self, clue: str) -> Floats:
        """Return the numbers behind one of the measured clues, ``[N, F]``."""
        return {
            "file": self.file,
            "shape": self.shape,
            "image_statistics": np.concatenate([self.colour, self.shape], axis=1),
        }[clue]

    def names(self, clue: str) -> tuple[str, ...]:
        """Return the values behind one of the named clues."""
        return {"site": self.sites, "camera": self.cameras}[clue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clue:
    """How well one clue alone predicts the label, on patients that the predictor has not seen.

    Attributes:
        name: One of ``CLUES``.
        balanced_accuracy: With interval; None when the clue could not be measured.
        macro_auroc: With interval; None when the clue could not be measured.
        chance: Balanced accuracy of a guess.
        why_not: Why the clue was not measured, else empty.
    """

    name: str
    balanced_accuracy: Estimate | None
    macro_auroc: Estimate | None
    chance: float
    why_not: str = ""

    @property
    def excess(self) -> float | None:
        """Balanced accuracy above chance, as a share of what is there to gain: 0 is a guess, 1 gives the label away."""
        if self.balanced_accuracy is None or self.balanced_accuracy.value is None:
            return None
        return (self.balanced_accuracy.value - self.chance) / (1.0 - self.chance)

    @property
    def beats_chance(self) -> bool:
        """Whether the whole interval lies above chance."""
        found = self.balanced_accuracy
        return found is not None and found.interval is not None and found.interval.lower > self.chance
