"""The numbers that a reviewer asks for: every statistic with its interval, on pictures, eyes, patients and strata.

* Intervals resample patients, near-duplicates counted as one; one pass of resamples serves everything on the page.
* Eyes and patients are made of the graded pictures in two ways (``aggregation``); both are shown.
* Curves describe pictures: the ROC curve is thinned to ``_MOST_POINTS`` corners and holds rates only, no score.
* Strata smaller than asked for are named, not measured. Values come from the manifest as written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from eyebright_common.errors import InputError
from eyebright_common.manifest import Clusters, Row
from eyebright_learning.evaluation.aggregation import Aggregated, EyeRule, by_eye, by_patient
from eyebright_learning.evaluation.calibration import reliability
from eyebright_learning.evaluation.cases import Cases, Criteria
from eyebright_learning.evaluation.curves import confusion_matrix, roc_points
from eyebright_learning.evaluation.estimates import LEVEL, REPLICATES, Estimate, estimates
from eyebright_learning.evaluation.strata import MIN_GROUPS, Stratum, strata

PICTURE = "picture"
_MOST_POINTS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What is asked for beside the usual metrics.

    Attributes:
        min_specificity: The specificity at which sensitivity is read off the ROC curve.
        prevalences: Shares of referable disease at which PPV and NPV are stated.
        graded: Whether the classes, in order, are grades of one disease: adds quadratic kappa.
        min_patients: Patients that a stratum needs to be measured.
        replicates: Resamples of patients; 0 leaves the intervals out.
        seed: Of the resamples.
    """

    min_specificity: float = 0.90
    prevalences: tuple[float, ...] = (0.01, 0.05, 0.10, 0.20)
    graded: bool = False
    min_patients: int = MIN_GROUPS
    replicates: int = REPLICATES
    seed: int = 0

    def __post_init__(self) -> None:
        self.criteria(None)
        if self.min_patients < 2:
            raise InputError("a stratum needs at least two patients", value=self.min_patients)

    def criteria(self, threshold: float | None) -> Criteria:
        """Return what is asked of a model with this operating point."""
        return Criteria(
            threshold=threshold,
            min_specificity=self.min_specificity,
            prevalences=self.prevalences,
            graded=self.graded,
        )


def reviewed(
    pictures: Cases,
    rows: Sequence[Row],
    *,
    quality: Sequence[str],
    clusters: Clusters,
    threshold: float,
    review: Review,
) -> dict[str, Any]:
    """Return the numbers as plain JSON values.

    Args:
        pictures: The graded pictures; their groups are those of ``clusters``.
        rows: Their rows in the manifest.
        quality: Their quality verdicts.
        clusters: Which of them belong together.
        threshold: The shipped operating point.
        review: What is asked for.
    """
    criteria = review.criteria(threshold)
    units = _units(pictures, rows)
    parts = strata(_facts(rows, quality), pictures.groups, min_groups=review.min_patients)
    sets = {name: unit.cases for name, unit in units.items()} | {
        f"{part.by}={part.name}": pictures.part(part.where) for part in parts if part.measured
    }
    found = estimates(sets, criteria, replicates=review.replicates, seed=review.seed)
    return {
        "criteria": {**asdict(criteria), "prevalences": list(criteria.prevalences)},
        "bootstrap": {
            "resampled": "patients, near-duplicates counted as one",
            "groups": len(np.unique(pictures.groups)),
            "replicates": review.replicates,
            "level": LEVEL,
            "seed": review.seed,
        },
        "duplicates": {
            "clusters": clusters.duplicate_clusters,
            "images": clusters.images_in_duplicate_clusters,
            "cross_patient_clusters": clusters.cross_patient_clusters,
        },
        "statistics": {
            name: {
                "n": len(unit.cases),
                "several_labels": unit.several_labels,
                "estimates": _plain(found[name]),
            }
            for name, unit in units.items()
        },
        "min_patients_of_a_stratum": review.min_patients,
        "strata": [_stratum(part, found.get(f"{part.by}={part.name}")) for part in parts],
        "curves": _curves(pictures),
    }


def _units(pictures: Cases, rows: Sequence[Row]) -> dict[str, Aggregated]:
    patients, eyes = [row.patient_id for row in rows], [row.eye for row in rows]
    units = {PICTURE: Aggregated(cases=pictures, several_labels=0)}
    for rule in EyeRule:
        units[f"eye_{rule}"] = by_eye(pictures, patients=patients, eyes=eyes, rule=rule)
    for rule in EyeRule:
        units[f"patient_{rule}"] = by_patient(pictures, patients=patients, eyes=eyes, rule=rule)
    return units


def _facts(rows: Sequence[Row], quality: Sequence[str]) -> dict[str, list[str]]:
    return {
        "site": [row.site for row in rows],
        "camera": [row.camera for row in rows],
        "age_band": [row.age_band for row in rows],
        "sex": [row.sex for row in rows],
        "eye": [row.eye for row in rows],
        "quality": list(quality),
    }


def _plain(found: Mapping[str, Estimate]) -> dict[str, Any]:
    return {name: estimate.to_dict() for name, estimate in found.items()}


def _stratum(part: Stratum, found: Mapping[str, Estimate] | None) -> dict[str, Any]:
    return {
        "by": part.by,
        "name": part.name,
        "images": part.images,
        "groups": part.groups,
        "measured": part.measured,
        "estimates": None if found is None else _plain(found),
    }


def _curves(pictures: Cases) -> dict[str, Any]:
    points = roc_points(pictures.score, pictures.positive)
    answers = pictures.probabilities.argmax(axis=1)
    return {
        "confusion": confusion_matrix(answers, pictures.labels, len(pictures.task.classes)).tolist(),
        "reliability": [asdict(one) for one in reliability(pictures.probabilities, pictures.labels)],
        "roc": None
        if points is None
        else {
            "false_positive_rate": _thinned(points.false_positive_rate),
            "sensitivity": _thinned(points.sensitivity),
        },
    }


def _thinned(corners: Sequence[float]) -> list[float]:
    step = max(1, len(corners) // _MOST_POINTS)
    return [*corners[:-1:step], corners[-1]]
