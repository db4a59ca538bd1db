"""From what a source calls a finding to what a task calls it.

* A grade of diabetic retinopathy (ICDR 0–4) becomes ``normal`` or ``diabetic_retinopathy``. Whoever graded one disease
  did not say that the eye is healthy: such rows are counted as ``normal_for_one_disease_only``, and the doctor warns.
* A hospital's own map goes first; an empty target leaves the row out. The written label stays in ``source_label``.
* Several findings in one eye are no class of a single-label task: ``several_findings``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from eyebright_common.manifest.tables import Record
from eyebright_common.tasks import normalise_label

NORMAL_FOR_ONE = "normal_for_one_disease_only"
SEVERAL = "several_findings"

_ONE_DISEASE = frozenset({"icdr_0", "no_referable_glaucoma"})
DEFAULT_LABELS: Mapping[str, str] = {
    "icdr_0": "normal",
    "icdr_1": "diabetic_retinopathy",
    "icdr_2": "diabetic_retinopathy",
    "icdr_3": "diabetic_retinopathy",
    "icdr_4": "diabetic_retinopathy",
    "no_referable_glaucoma": "normal",
    "referable_glaucoma": "glaucoma",
}


def icdr(grade: str) -> str:
    """Return the label of an ICDR grade as written (``2``, ``2.0``); empty where it is no grade from 0 to 4."""
    word = grade.strip().removesuffix(".0")
    return f"icdr_{word}" if word in {"0", "1", "2", "3", "4"} else ""


def relabelled(records: Iterable[Record], own: Mapping[str, str]) -> tuple[list[Record], int]:
    """Return the records with a task's labels, and how many are called normal for one disease only.

    Args:
        records: With labels as the source writes them.
        own: The hospital's map, written label → label; it goes before the default.
    """
    chosen = {**DEFAULT_LABELS, **{normalise_label(written): label for written, label in own.items()}}
    changed: list[Record] = []
    one_disease = 0
    for record in records:
        written = normalise_label(record.values.get("label", ""))
        if record.problem is not None or written not in chosen:
            changed.append(record)
            continue
        one_disease += written in _ONE_DISEASE and chosen[written] == "normal"
        values = {**record.values, "label": chosen[written], "source_label": written}
        changed.append(replace(record, values=values))
    return changed, one_disease
