"""Manifest v1: one row per picture, and what happened to every row and file that is not one.

The bookkeeping rule of this room: whatever the source names, each row and each picture file is either one of
``Manifest.rows`` or counted in exactly one bucket of ``Manifest.left_out``. ``notes`` count facts about kept rows and
never stand for a loss.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

COLUMNS = (
    "image_path",
    "modality",
    "label",
    "patient_id",
    "eye",
    "exam_id",
    "site",
    "camera",
    "age_band",
    "sex",
    "split",
    "frame_index",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One picture.

    Attributes:
        image_path: Where it is, absolute.
        name: The path as written, with forward slashes, relative to the manifest.
        modality: ``CFP`` or ``OCT``.
        label: Canonical label, or None where nobody graded it.
        patient_id: Who; both eyes of a patient share it.
        eye: ``R``, ``L`` or ``U`` (unknown).
        exam_id: Visit, empty where unknown.
        site: Where it was taken, empty where unknown.
        camera: Device, empty where unknown.
        age_band: For example ``60-69``, empty where unknown.
        sex: As written, empty where unknown.
        split: A split fixed by the source, or None.
        frame: Frame of a multi-frame file, counted from 1.
        extra: Every other column, as written; never sent anywhere.
    """

    image_path: Path
    name: str
    modality: str
    label: str | None
    patient_id: str
    eye: str = "U"
    exam_id: str = ""
    site: str = ""
    camera: str = ""
    age_band: str = ""
    sex: str = ""
    split: str | None = None
    frame: int = 1
    extra: Mapping[str, str] = field(default_factory=dict)

    def as_columns(self) -> dict[str, str]:
        """Return the row as the columns of a manifest file."""
        known = {
            "image_path": self.name,
            "modality": self.modality,
            "label": self.label or "",
            "patient_id": self.patient_id,
            "eye": self.eye,
            "exam_id": self.exam_id,
            "site": self.site,
            "camera": self.camera,
            "age_band": self.age_band,
            "sex": self.sex,
            "split": self.split or "",
            "frame_index": str(self.frame) if self.frame != 1 else "",
        }
        return {**dict(self.extra), **known}


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything a source names.

    Attributes:
        rows: The usable rows, in the order of the source.
        left_out: Reason → how many rows or files; disjoint, and disjoint from ``rows``.
        problems: ``(name, reason)`` of what was left out. Local only: names may identify a patient.
        notes: Facts about kept rows, e.g. ``patients_in_two_sites``.
        source: The file or folder that was read.
        digest: SHA-256 of the canonical rows; the same rows in any order have the same digest.
    """

    rows: tuple[Row, ...]
    left_out: Mapping[str, int]
    problems: tuple[tuple[str, str], ...]
    notes: Mapping[str, int]
    source: Path
    digest: str


def manifest_of(
    rows: Sequence[Row], problems: Sequence[tuple[str, str]], *, source: Path, notes: Mapping[str, int]
) -> Manifest:
    """Return the manifest of kept rows and problems, counted and digested."""
    return Manifest(
        rows=tuple(rows),
        left_out=dict(sorted(Counter(reason for _, reason in problems).items())),
        problems=tuple(problems),
        notes={**_facts(rows), **{name: count for name, count in notes.items() if count}},
        source=source,
        digest=rows_digest(rows),
    )


def rows_digest(rows: Sequence[Row]) -> str:
    """Return the SHA-256 of the rows, whatever their order and wherever the pictures lie."""
    lines = sorted(json.dumps(row.as_columns(), sort_keys=True, ensure_ascii=False) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _facts(rows: Sequence[Row]) -> dict[str, int]:
    facts: Counter[str] = Counter()
    for what, value in (("sites", "site"), ("splits", "split")):
        places: dict[str, set[str]] = {}
        for row in rows:
            if place := getattr(row, value):
                places.setdefault(row.patient_id, set()).add(place)
        torn = {patient for patient, found in places.items() if len(found) > 1}
        facts[f"patients_in_two_{what}"] = len(torn)
        facts[f"rows_of_patients_in_two_{what}"] = sum(row.patient_id in torn for row in rows)
    return {name: count for name, count in facts.items() if count}
