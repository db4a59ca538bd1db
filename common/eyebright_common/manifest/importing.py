"""From records to rows: every record becomes a row or a problem with exactly one reason.

The order of the checks is the order of the buckets: a record that fails several is counted by the first.

==========================  ===========================================================================
``malformed_row``           the line has another number of cells than the header, or is no JSON object
``path_missing``            no ``image_path``
``path_outside_folder``     absolute, or climbs out of the manifest's folder
``modality_unknown``        neither CFP nor OCT
``modality_not_in_task:M``  the other modality
``patient_id_missing``      no ``patient_id``: such a row could be in two splits
``frame_index_invalid``     not a number from 1
``label_missing``           nobody graded it
``label_not_in_task:L``     graded with a label the task does not use
``file_missing``            the file is not there
``duplicate_row``           the same picture again, saying the same
``conflicting_row``         the same picture again with another label or patient; all of its rows are left out
==========================  ===========================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eyebright_common.manifest.locating import Locator
from eyebright_common.manifest.rows import COLUMNS, Row
from eyebright_common.manifest.tables import Record
from eyebright_common.tasks import ScreeningTask, normalise_label

Problem = tuple[str, str]

_NULLS = frozenset({"", "na", "n/a", "nan", "none", "null", "-", "?"})
_MODALITIES = {"cfp": "CFP", "fundus": "CFP", "op": "CFP", "oct": "OCT", "opt": "OCT"}
_EYES = {"r": "R", "od": "R", "right": "R", "l": "L", "os": "L", "oi": "L", "left": "L"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """Rows, problems and notes of one source."""

    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]
    notes: Mapping[str, int]


def canonical_label(text: str) -> str | None:
    """Return the canonical spelling of a label cell, or None where nobody graded the picture."""
    return None if text.strip().casefold() in _NULLS else normalise_label(text) or None


def import_records(records: Iterable[Record], *, root: Path, task: ScreeningTask) -> Imported:
    """Return the rows of ``records`` for ``task``; paths are relative to ``root``."""
    locator = Locator(root=root)
    rows: list[Row] = []
    problems: list[Problem] = []
    for record in records:
        result = _judged(record, locator, task)
        if isinstance(result, Row):
            rows.append(result)
        else:
            problems.append((record.values.get("image_path") or f"line {record.line}", result))
    kept, doubled = _without_duplicates(rows)
    notes = {"file_name_case_corrected": locator.case_corrected}
    return Imported(rows=tuple(kept), problems=(*problems, *doubled), notes=notes)


def _judged(record: Record, locator: Locator, task: ScreeningTask) -> Row | str:
    if record.problem:
        return record.problem
    values = record.values
    if not values["image_path"]:
        return "path_missing"
    name = locator.normalised(values["image_path"])
    if name is None:
        return "path_outside_folder"
    problem = _content_problem(values, task)
    if problem:
        return problem
    path = locator.find(name)
    return "file_missing" if path is None else _row(values, name, path)


def _content_problem(values: Mapping[str, str], task: ScreeningTask) -> str | None:
    modality = _MODALITIES.get(values["modality"].casefold())
    if modality is None:
        return "modality_unknown"
    if modality != task.modality:
        return f"modality_not_in_task:{modality}"
    if values["patient_id"].casefold() in _NULLS:
        return "patient_id_missing"
    if _frame(values.get("frame_index", "")) is None:
        return "frame_index_invalid"
    label = canonical_label(values["label"])
    if label is None:
        return "label_missing"
    return None if task.index_of(label) is not None else f"label_not_in_task:{label}"


def _frame(text: str) -> int | None:
    if not text:
        return 1
    return int(text) if text.isdecimal() and int(text) >= 1 else None


def _row(values: Mapping[str, str], name: str, path: Path) -> Row:
    return Row(
        image_path=path,
        name=name,
        modality=_MODALITIES[values["modality"].casefold()],
        label=canonical_label(values["label"]),
        patient_id=values["patient_id"],
        eye=_EYES.get(values.get("eye", "").casefold(), "U"),
        exam_id=values.get("exam_id", ""),
        site=values.get("site", ""),
        camera=values.get("camera", ""),
        age_band=values.get("age_band", ""),
        sex=values.get("sex", ""),
        split=values.get("split") or None,
        frame=_frame(values.get("frame_index", "")) or 1,
        extra={column: text for column, text in values.items() if column not in COLUMNS},
    )


def _without_duplicates(rows: Sequence[Row]) -> tuple[list[Row], list[Problem]]:
    by_picture: dict[tuple[Path, int], list[Row]] = {}
    for row in rows:
        by_picture.setdefault((row.image_path, row.frame), []).append(row)
    kept: list[Row] = []
    problems: list[Problem] = []
    for same in by_picture.values():
        if len({(row.label, row.patient_id) for row in same}) > 1:
            problems.extend((row.name, "conflicting_row") for row in same)
        else:
            kept.append(same[0])
            problems.extend((row.name, "duplicate_row") for row in same[1:])
    return kept, problems
