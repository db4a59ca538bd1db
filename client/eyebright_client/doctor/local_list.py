"""The hospital's own list: every file that is left out or stands out, by name, with the fix.

Mode 0600 and a first line that says so: it names files and patients and must not leave the building.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eyebright_client.doctor.case import Case
from eyebright_client.doctor.patients import named_patients, sets_of_copies
from eyebright_common.durable import write_bytes
from eyebright_common.imaging import INSTRUCTIONS
from eyebright_common.imaging.identifiers import name_identifiers
from eyebright_common.imaging.refusals import FIXES

BANNER = "# DO NOT SHARE: this list names files and patients of this hospital. The page and the JSON may be shared."


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalLine:
    """One thing to look at.

    Attributes:
        what: The check or bucket.
        file: The path as written in the source.
        frame: Of a multi-frame file.
        patient: As written in the source, empty where no row is meant.
        detail: Which set, or which kind.
        fix: What to do.
    """

    what: str
    file: str
    frame: int = 1
    patient: str = ""
    detail: str = ""
    fix: str = ""


def local_lines(case: Case) -> list[LocalLine]:
    """Return everything in a case that has a name."""
    lines = [LocalLine(what=reason, file=name) for name, reason in case.manifest.problems]
    for index, reason in enumerate(case.reasons):
        if reason:
            lines.append(_line(case, index, reason, fix=_fix(reason)))
    lines += _copies(case) + _torn(case)
    for index, found in enumerate(case.facts):
        kinds = (*found.identifiers, *name_identifiers(case.rows[index].name))
        if kinds:
            lines.append(_line(case, index, "identifiers", detail=" ".join(kinds)))
        if found.text:
            lines.append(_line(case, index, "burned_in_text"))
        if found.misnamed:
            lines.append(_line(case, index, "misnamed", detail=found.format))
    return lines


def write_local_list(path: Path, lines: Sequence[LocalLine]) -> None:
    """Write the list as CSV under its banner, readable by its owner alone."""
    text = io.StringIO(newline="")
    text.write(BANNER + "\n")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["what", "file", "frame", "patient", "detail", "fix"])
    writer.writerows([line.what, line.file, line.frame, line.patient, line.detail, line.fix] for line in lines)
    # A file name need not be valid text; what is not is written as escapes rather than lost.
    write_bytes(path, text.getvalue().encode("utf-8", "backslashreplace"), mode=0o600)


def _line(case: Case, index: int, what: str, *, detail: str = "", fix: str = "") -> LocalLine:
    row = case.rows[index]
    return LocalLine(what=what, file=row.name, frame=row.frame, patient=row.patient_id, detail=detail, fix=fix)


def _fix(reason: str) -> str:
    head, _, tail = reason.partition(":")
    return INSTRUCTIONS.get(tail, "") if head == "ungradable" else FIXES.get(head, "")


def _copies(case: Case) -> list[LocalLine]:
    lines: list[LocalLine] = []
    for number, members in enumerate(sets_of_copies(case.together.near), start=1):
        two_labels = len({case.rows[index].label for index in members}) > 1
        two_patients = len(named_patients(case.rows, members)) > 1
        words = " with two labels" * two_labels + " under two patients" * two_patients
        lines += [_line(case, index, "copies", detail=f"set {number}{words}") for index in members]
    return lines


def _torn(case: Case) -> list[LocalLine]:
    places: dict[int, set[str]] = {}
    for group, row in zip(case.together.group.tolist(), case.rows, strict=True):
        if row.split:
            places.setdefault(group, set()).add(row.split)
    torn = {group for group, found in places.items() if len(found) > 1}
    return [
        _line(case, index, "group_in_two_splits", detail=f"group {group}")
        for index, group in enumerate(case.together.group.tolist())
        if group in torn and case.rows[index].split
    ]
