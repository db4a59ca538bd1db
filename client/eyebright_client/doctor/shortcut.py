"""The shortcut audit on what the doctor has measured already: can the label be told without looking at the retina?

The audit itself is ``eyebright_learning.audit``. Sites and cameras go in under running numbers, so that its answer may
be shared; it is grave when site and label are one, or when a clue that cannot hold disease tells more than 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright_client.doctor.case import Case
from eyebright_client.doctor.findings import Finding, Level
from eyebright_client.doctor.picture import PictureFacts
from eyebright_client.doctor.sharing import numbered, people_table
from eyebright_common.errors import InputError
from eyebright_learning.audit import CLUES, Audit, AuditTable, audit
from eyebright_learning.audit.verdict import Level as Verdict

_PREDICTABLE = 0.95
_REPLICATES = 200


def shortcut_finding(case: Case) -> tuple[Finding, dict[str, Any] | None]:
    """Return the finding, and the audit's own shareable answer where there is one."""
    rows = [index for index in case.readable if not case.facts[index].wrong_modality]
    try:
        found = audit(_table(case, rows), replicates=_REPLICATES)
    except InputError as error:
        sentence = f"Shortcuts cannot be looked for: {error.what}."
        return Finding(check="shortcut", level=Level.INFO, sentence=sentence), None
    telling = [clue.name for clue in found.clues if (clue.excess or 0.0) >= 0.10 and clue.beats_chance]
    level = _level(found)
    return (
        Finding(
            check="shortcut",
            level=level,
            sentence=f"{found.headline}. {found.sentences[0]}",
            fix="" if level is Level.OK else "Collect every class with every camera and at every site.",
            numbers={"verdict": str(found.level), "clues": telling, "pictures": found.images, "groups": found.groups},
        ),
        _shareable(found),
    )


def _level(found: Audit) -> Level:
    sure = any(
        clue.balanced_accuracy is not None
        and (clue.balanced_accuracy.value or 0.0) > _PREDICTABLE
        and not CLUES[clue.name]
        for clue in found.clues
    )
    if sure or found.level is Verdict.CLASS_IS_SOURCE:
        return Level.STOP
    return Level.OK if found.level is Verdict.NONE else Level.WARN


def _shareable(found: Audit) -> dict[str, Any]:
    values = found.to_dict()
    return {**values, "sites": {site: people_table(counts) for site, counts in values["sites"].items()}}


def _table(case: Case, rows: Sequence[int]) -> AuditTable:
    facts = [case.facts[index] for index in rows]
    formats = sorted({found.format for found in facts})
    sites = numbered((case.rows[index].site for index in rows), "site")
    cameras = numbered((case.rows[index].camera for index in rows), "camera")
    labels = [case.task.index_of(case.rows[index].label or "") for index in rows]
    return AuditTable(
        task=case.task,
        labels=np.asarray(labels, dtype=np.int64),
        groups=case.together.group[np.asarray(rows, dtype=np.int64)],
        sites=tuple(sites[case.rows[index].site] for index in rows),
        cameras=tuple(cameras[case.rows[index].camera] for index in rows),
        file=_numbers([_file(found, formats) for found in facts]),
        shape=_numbers([_shape(found) for found in facts]),
        colour=_numbers([[*found.means, *found.variances] for found in facts]),
    )


def _numbers(values: list[list[float]]) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64).reshape(len(values), -1)


def _file(found: PictureFacts, formats: Sequence[str]) -> list[float]:
    size = max(1, found.size_bytes)
    pixels = max(1, found.width * found.height)
    return [math.log(size), math.log(size / pixels), *(float(found.format == name) for name in formats)]


def _shape(found: PictureFacts) -> list[float]:
    return [math.log(found.width), math.log(found.height), math.log(found.width / found.height)]
