"""From pictures to patients: the highest score of an eye's pictures, then the worse eye."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientScores:
    """One row per patient, sorted by identifier.

    Attributes:
        patients: Identifiers.
        scores: float64 ``[P]``, referable score of the worse eye.
        positive: bool ``[P]``, whether any picture of the patient is to be referred.
    """

    patients: tuple[str, ...]
    scores: npt.NDArray[np.float64]
    positive: npt.NDArray[np.bool_]


def worst_eye(
    scores: npt.NDArray[np.floating], positive: npt.NDArray[np.bool_], patients: Sequence[str]
) -> PatientScores:
    """Return patient scores from picture scores ``[N]``, truths ``[N]`` and patients ``[N]``.

    The maximum over an eye's pictures followed by the maximum over eyes is the maximum over the patient's pictures, so
    the eyes need not be known.
    """
    names, where = np.unique(np.asarray(patients, dtype=np.str_), return_inverse=True)
    worst = np.full(len(names), -np.inf)
    np.maximum.at(worst, where, np.asarray(scores, dtype=np.float64))
    any_positive = np.zeros(len(names), dtype=bool)
    np.logical_or.at(any_positive, where, positive)
    return PatientScores(patients=tuple(map(str, names)), scores=worst, positive=any_positive)
