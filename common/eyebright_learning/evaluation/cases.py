"""What is judged: calibrated probabilities against labels, whose pictures they are, and what is asked of them.

* A case is a picture, an eye or a patient; the statistics are the same for all three (``aggregation`` makes eyes and
  patients out of pictures).
* ``groups`` is what resampling may not tear apart: a patient with every near-duplicate. The numbers stay those of the
  whole when a part is taken, so one set of draws serves the whole and all its strata.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eyebright_common.errors import InputError
from eyebright_common.tasks import ScreeningTask
from eyebright_learning.evaluation.metrics import referable_score

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """What is asked of a model beside its ranking and its answers.

    Attributes:
        threshold: The shipped operating point on the referable score; None leaves its rates open.
        min_specificity: The specificity at which sensitivity is read off the ROC curve.
        prevalences: Shares of referable disease at which PPV and NPV are stated.
        graded: Whether the task's classes, in order, are grades of one disease: adds quadratic kappa.
    """

    threshold: float | None = None
    min_specificity: float = 0.90
    prevalences: tuple[float, ...] = (0.01, 0.05, 0.10, 0.20)
    graded: bool = False

    def __post_init__(self) -> None:
        if not 0.0 < self.min_specificity < 1.0:
            raise InputError(
                "the specificity to hold must lie between 0 and 1",
                value=self.min_specificity,
                fix="Write ninety per cent as 0.9.",
            )
        wrong = [share for share in self.prevalences if not 0.0 < share < 1.0]
        if wrong:
            raise InputError(
                "a prevalence must lie between 0 and 1", value=wrong[0], fix="Write five per cent as 0.05."
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cases:
    """Judged cases of one task.

    Attributes:
        probabilities: float64 ``[N, C]``, calibrated, in the task's class order.
        labels: int64 ``[N]``, class indices.
        groups: int64 ``[N]``, from 0: patient-or-duplicate cluster.
        task: Names the classes and says which are referable.
    """

    probabilities: Floats
    labels: Integers
    groups: Integers
    task: ScreeningTask

    @classmethod
    def of(
        cls,
        probabilities: npt.ArrayLike,
        labels: npt.ArrayLike,
        *,
        groups: Sequence[object] | npt.NDArray[np.generic],
        task: ScreeningTask,
    ) -> Cases:
        """Return cases with groups of any kind numbered from 0.

        Raises:
            InputError: the parts do not fit together, or a label is no class of the task.
        """
        p = np.asarray(probabilities, dtype=np.float64).reshape(-1, len(task.classes))
        y = np.asarray(labels, dtype=np.int64)
        numbered = np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int64)
        if not len(p) == len(y) == len(numbered):
            raise InputError("probabilities, labels and groups differ in number", value=(len(p), len(y), len(numbered)))
        if len(y) and not 0 <= y.min() <= y.max() < len(task.classes):
            raise InputError("a label is no class of the task", value=f"{y.min()} to {y.max()}")
        return cls(probabilities=p, labels=y, groups=numbered, task=task)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def score(self) -> Floats:
        """Referable score ``[N]``."""
        return referable_score(self.probabilities, self.task)

    @property
    def positive(self) -> Mask:
        """Whether each case is to be referred, ``[N]``."""
        return np.asarray(self.task.referable_mask, dtype=np.bool_)[self.labels]

    def part(self, where: npt.ArrayLike) -> Cases:
        """Return the cases at ``where`` (a mask or positions); groups keep their numbers."""
        index = np.asarray(where)
        return Cases(
            probabilities=self.probabilities[index],
            labels=self.labels[index],
            groups=self.groups[index],
            task=self.task,
        )
