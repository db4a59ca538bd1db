"""The whole examination: read, look at every picture, check, and say in one document what was found.

* ``Diagnosis.shareable`` holds counts and words of our own; the page and the JSON are made of it alone.
* ``Diagnosis.local`` names files and patients: the list for the hospital's own eyes.
* A sample is whole patients, chosen by the digest of their id: the same patients on every run.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eyebright_client.doctor import capacity, row_checks
from eyebright_client.doctor.case import Case
from eyebright_client.doctor.examining import examine_rows
from eyebright_client.doctor.findings import EXIT_CODES, Finding, Level, gravest
from eyebright_client.doctor.local_list import LocalLine, local_lines
from eyebright_client.doctor.patients import joined_patients
from eyebright_client.doctor.picture_checks import PICTURE_CHECKS
from eyebright_client.doctor.results_store import ResultsStore
from eyebright_client.doctor.sharing import FLOOR, people_table, shareable_reasons
from eyebright_common import __version__
from eyebright_common.manifest import Row, split_groups
from eyebright_common.manifest.importers import DataMap, judge, read_source

SCHEMA = "eyebright.preflight/1"
_SPLITS = {"train": 0.7, "validation": 0.15, "test": 0.15}

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to examine.

    Attributes:
        task: Task or family, None for what the labels fit.
        mapping: The hospital's map.
        workers: Processes for pictures, threads for the timed step.
        sample: Look at about so many pictures, whole patients; 0 for all.
        capacity: Whether disk, memory and a training step are looked at.
        server: ``HOST:PORT`` for clock and connection, or None.
        ca: The operator's certificate authority.
    """

    task: str | None = None
    mapping: DataMap | None = None
    workers: int = 2
    sample: int = 0
    capacity: bool = True
    server: str | None = None
    ca: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What was found.

    Attributes:
        level: The gravest of all findings.
        shareable: Counts only, plain JSON values.
        local: What names files and patients.
        case: What was examined.
    """

    level: Level
    shareable: dict[str, Any]
    local: Sequence[LocalLine]
    case: Case

    @property
    def exit_code(self) -> int:
        """0 in order, 1 usable with warnings, 2 refused."""
        return EXIT_CODES[self.level]


def examine(
    path: Path, *, folder: Path, options: Options | None = None, on_progress: Progress | None = None
) -> Diagnosis:
    """Return the diagnosis of a manifest, folder, DICOM tree or DICOMDIR.

    Args:
        path: The data.
        folder: Where results are kept between runs.
        options: How to examine.
        on_progress: Called with ``(pictures done, pictures in all)``.

    Raises:
        InputError: the data as a whole cannot be read, or an option cannot be used.
    """
    chosen = options or Options()
    source = read_source(path, chosen.mapping)
    judged = judge(source, task=chosen.task)
    rows = sample_of(judged.manifest.rows, chosen.sample)
    with ResultsStore(folder / "preflight.results") as store:
        facts = examine_rows(rows, store=store, workers=chosen.workers, on_progress=on_progress)
    case = Case.of(source, judged, rows, facts)
    findings, audit = _findings(case, chosen, folder)
    level = gravest(finding.level for finding in findings)
    shareable = _shareable(case, findings, audit, level)
    return Diagnosis(level=level, shareable=shareable, local=local_lines(case), case=case)


def sample_of(rows: Sequence[Row], wanted: int) -> list[Row]:
    """Return about ``wanted`` rows of whole patients, all where 0 are wanted; the same ones every time."""
    if not 0 < wanted < len(rows):
        return list(rows)
    sizes = Counter(row.patient_id for row in rows)
    taken: set[str] = set()
    count = 0
    for patient in sorted(sizes, key=lambda name: hashlib.sha256(name.encode()).digest()):
        if count >= wanted:
            break
        taken.add(patient)
        count += sizes[patient]
    return [row for row in rows if row.patient_id in taken]


def manifest_changes(case: Case, *, resplit: bool) -> dict[tuple[str, int], dict[str, str]]:
    """Return (path, frame) → columns that a written manifest has otherwise than the source.

    Pictures without a patient of their own get that of their group. With ``resplit`` the used rows are dealt again and
    the others, those of other tasks among them, lose their split.
    """
    changes: dict[tuple[str, int], dict[str, str]] = {}
    if resplit:
        changes = {(name, frame): {"split": ""} for name, frame in _pictures(case)}
        for picture, split in dealt_again(case).items():
            changes[picture] = {"split": split}
    for index, patient in joined_patients(case.rows, case.together).items():
        row = case.rows[index]
        changes.setdefault((row.name, row.frame), {})["patient_id"] = patient
    return changes


def _pictures(case: Case) -> list[tuple[str, int]]:
    found = []
    for record in case.source.records:
        name, frame = record.values.get("image_path", ""), record.values.get("frame_index", "")
        found.append((os.path.normpath(name.replace("\\", "/")), int(frame) if frame.isdecimal() else 1))
    return found


def dealt_again(case: Case, *, seed: int = 0) -> dict[tuple[str, int], str]:
    """Return (path, frame) → split for the used rows, groups whole; what is left out gets none."""
    used = case.used
    groups = case.together.group[np.asarray(used, dtype=np.int64)]
    splits = split_groups(groups, [case.rows[index].label or "" for index in used], _SPLITS, seed)
    return {
        (case.rows[index].name, case.rows[index].frame): str(split)
        for index, split in zip(used, splits.tolist(), strict=True)
    }


def _findings(case: Case, chosen: Options, folder: Path) -> tuple[list[Finding], dict[str, Any] | None]:
    # Imported here: it brings scikit-learn, 100 MB that the processes which look at pictures do without.
    from eyebright_client.doctor.shortcut import shortcut_finding

    findings = [row_checks.row_finding(case), row_checks.conflict_finding(case), row_checks.label_finding(case)]
    audit = None
    if case.rows:
        findings += [row_checks.label_meaning_finding(case), row_checks.patient_finding(case)]
        findings += [row_checks.eye_finding(case), row_checks.split_finding(case)]
        findings += [check(case) for check in PICTURE_CHECKS]
        shortcut, audit = shortcut_finding(case)
        findings.append(shortcut)
    if chosen.capacity:
        pictures = len(case.used)
        step, training_bytes = capacity.step_finding(case.task, pictures, threads=chosen.workers)
        findings += [capacity.disk_finding(folder, pictures), capacity.memory_finding(pictures, training_bytes), step]
    if chosen.capacity or chosen.server is not None:
        findings += capacity.server_findings(chosen.server, ca=chosen.ca)
    return findings, audit


def _shareable(case: Case, findings: list[Finding], audit: dict[str, Any] | None, level: Level) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "code_version": __version__,
        "level": str(level),
        "exit_code": EXIT_CODES[level],
        "task": case.task.name,
        "layout": case.source.layout,
        "manifest_digest": case.manifest.digest,
        "rows_and_files": len(case.manifest.rows) + sum(case.manifest.left_out.values()),
        "used": len(case.used),
        "used_by_class": _used_table(case),
        "left_out": shareable_reasons(case.left_out()),
        "smallest_count_shown": FLOOR,
        "findings": [finding.to_dict() for finding in findings],
        "shortcut_audit": audit,
    }


def _used_table(case: Case) -> dict[str, dict[str, int | str]]:
    """Return class → split → pictures that will be used."""
    counts = Counter((case.rows[i].label or "", row_checks.split_word(case.rows[i].split)) for i in case.used)
    splits = [
        name
        for name in ("train", "validation", "val", "test", "other", "unsplit")
        if any(split == name for _, split in counts)
    ]
    return {label: people_table({split: counts[label, split] for split in splits}) for label in case.task.classes}
