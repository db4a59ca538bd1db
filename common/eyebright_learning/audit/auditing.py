"""The audit itself: a table of pictures in, a verdict with its evidence out. Pure.

* Counts per site and class come first: most shortcuts can be seen in that table with the naked eye.
* Every clue is measured on all pictures together; intervals resample patients with their near-duplicates.
* A clue with one value only (one site, one file format) cannot predict and is not measured; the reason is kept.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from eyebright_common.errors import InputError
from eyebright_learning.audit.clues import CLUE_WORDS, CLUES, AuditTable, Clue
from eyebright_learning.audit.mutual_information import SharedInformation, shared_information
from eyebright_learning.audit.predictability import FOLDS, predict_from_measurements, predict_from_names
from eyebright_learning.audit.verdict import (
    CLASS_IS_SOURCE_SHARE,
    HEADLINES,
    STRONG_EXCESS,
    WEAK_EXCESS,
    Level,
    level_of,
    sentences,
)
from eyebright_learning.evaluation.cases import Cases, Criteria, Floats
from eyebright_learning.evaluation.estimates import REPLICATES, estimates
from eyebright_learning.evaluation.strata import UNKNOWN

AUDIT_SCHEMA = "eyebright.audit/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What an audit found.

    Attributes:
        level: How loud the verdict is.
        sentences: What was found, in words.
        images: Pictures looked at.
        groups: Patients, near-duplicates counted as one.
        table: Site → class → pictures.
        shared: Information that site and label share; None when the manifest names fewer than two sites.
        exclusive_classes: Classes whose sources hold no other class, where other sources exist.
        clues: How well each clue alone predicts the label.
    """

    level: Level
    sentences: tuple[str, ...]
    images: int
    groups: int
    table: dict[str, dict[str, int]]
    shared: SharedInformation | None
    exclusive_classes: tuple[str, ...]
    clues: tuple[Clue, ...]

    @property
    def headline(self) -> str:
        """The verdict in one line."""
        return HEADLINES[self.level]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; no path, no patient."""
        shared = self.shared
        return {
            "schema": AUDIT_SCHEMA,
            "verdict": {"level": str(self.level), "headline": self.headline, "sentences": list(self.sentences)},
            "images": self.images,
            "groups": self.groups,
            "sites": self.table,
            "shared_information": None
            if shared is None
            else {"bits": shared.bits, "label_bits": shared.label_bits, "share": shared.share},
            "exclusive_classes": list(self.exclusive_classes),
            "clues": {clue.name: _clue_dict(clue) for clue in self.clues},
            "limits": {
                "class_is_source_share": CLASS_IS_SOURCE_SHARE,
                "strong_excess": STRONG_EXCESS,
                "weak_excess": WEAK_EXCESS,
            },
        }


def audit(table: AuditTable, *, replicates: int = REPLICATES, seed: int = 0, folds: int = FOLDS) -> Audit:
    """Return the verdict on a table of labelled pictures.

    Args:
        table: The pictures.
        replicates: Resamples of patients for the intervals.
        seed: Of folds and draws.
        folds: Patient-grouped folds of the predictors.

    Raises:
        InputError: there are fewer than two classes, or fewer patients than folds.
    """
    present = np.unique(table.labels)
    if len(present) < 2:
        raise InputError("an audit needs pictures of two classes", value=[table.task.classes[c] for c in present])
    groups = len(np.unique(table.groups))
    if groups < folds:
        raise InputError(f"an audit needs at least {folds} patients", value=groups, fix="Near-duplicates count once.")
    clues = tuple(_clue(name, table, 1.0 / len(present), (replicates, seed, folds)) for name in CLUES)
    labels = [table.task.classes[label] for label in table.labels]
    sites = [site or UNKNOWN for site in table.sites]
    counts = _counts(labels, sites)
    shared = shared_information(labels, sites) if len(counts) > 1 else None
    exclusive = _exclusive(counts)
    return Audit(
        level=level_of(clues, shared, exclusive),
        sentences=tuple(sentences(clues, shared, exclusive)),
        images=len(labels),
        groups=groups,
        table=counts,
        shared=shared,
        exclusive_classes=exclusive,
        clues=clues,
    )


def _counts(labels: list[str], sites: list[str]) -> dict[str, dict[str, int]]:
    pairs = Counter(zip(sites, labels, strict=True))
    return {
        site: {label: pairs[site, label] for label in dict.fromkeys(sorted(set(labels))) if pairs[site, label]}
        for site in sorted(set(sites))
    }


def _exclusive(counts: dict[str, dict[str, int]]) -> tuple[str, ...]:
    if len(counts) < 2:
        return ()
    classes = sorted({label for found in counts.values() for label in found})
    return tuple(
        label for label in classes if all(list(found) == [label] for found in counts.values() if label in found)
    )


def _clue(name: str, table: AuditTable, chance: float, how: tuple[int, int, int]) -> Clue:
    replicates, seed, folds = how
    answers = _answers(name, table, seed, folds)
    if isinstance(answers, str):
        return Clue(name=name, balanced_accuracy=None, macro_auroc=None, chance=chance, why_not=answers)
    cases = Cases.of(answers, table.labels, groups=table.groups, task=table.task)
    found = estimates({name: cases}, Criteria(), replicates=replicates, seed=seed)[name]
    return Clue(
        name=name,
        balanced_accuracy=found["balanced_accuracy"],
        macro_auroc=found["macro_auroc"],
        chance=chance,
    )


def _answers(name: str, table: AuditTable, seed: int, folds: int) -> Floats | str:
    """Return out-of-fold probabilities ``[N, C]``, or why there are none."""
    classes = len(table.task.classes)
    if name in {"site", "camera"}:
        values = table.names(name)
        if len(set(values)) < 2:
            return f"the manifest names no {name}" if not any(values) else f"there is one {name} only"
        return predict_from_names(values, table.labels, table.groups, classes=classes, seed=seed, folds=folds)
    numbers = table.measurements(name)
    if not np.ptp(numbers, axis=0).any():
        return f"{CLUE_WORDS[name]} is the same for all pictures"
    return predict_from_measurements(numbers, table.labels, table.groups, classes=classes, seed=seed, folds=folds)


def _clue_dict(clue: Clue) -> dict[str, Any]:
    return {
        "balanced_accuracy": None if clue.balanced_accuracy is None else clue.balanced_accuracy.to_dict(),
        "macro_auroc": None if clue.macro_auroc is None else clue.macro_auroc.to_dict(),
        "chance": clue.chance,
        "excess": clue.excess,
        "may_hold_disease": CLUES[clue.name],
        "why_not_measured": clue.why_not or None,
    }
