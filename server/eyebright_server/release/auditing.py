"""A shortcut audit of any manifest: which task it is for, its pictures measured, the verdict with its evidence.

What comes back holds counts and figures: no path, no file name, no patient.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eyebright_common.errors import ManifestError
from eyebright_common.manifest import Manifest, read_dataset
from eyebright_common.tasks import TASKS, ScreeningTask
from eyebright_learning.audit import audit, read_audit_table
from eyebright_learning.evaluation.estimates import REPLICATES

Progress = Callable[[int, int], None]


def audit_data(
    path: Path,
    *,
    task_family: str | None = None,
    workers: int = 2,
    replicates: int = REPLICATES,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Return the verdict on a data set, as plain JSON values.

    Args:
        path: A manifest file or a folder per class.
        task_family: A task or family; by default the one that keeps most rows.
        workers: Pictures in work at the same time.
        replicates: Resamples of patients for the intervals.
        seed: Of folds and resamples.
        on_progress: Called with ``(pictures done, pictures in all)``.

    Returns:
        ``Audit.to_dict`` with ``task, data, left_out, duplicates``.

    Raises:
        InputError: the data cannot be used, or is too small to audit.
    """
    manifest, task = read_dataset(path, task_family=task_family) if task_family else _read_by_content(path)
    reading = read_audit_table(manifest.rows, task=task, workers=workers, on_progress=on_progress)
    found = audit(reading.table, replicates=replicates, seed=seed)
    return {
        **found.to_dict(),
        "task": task.name,
        "data": {"digest": manifest.digest, "rows": len(manifest.rows)},
        "left_out": dict(sorted((Counter(manifest.left_out) + Counter(reading.left_out)).items())),
        "duplicates": {
            "clusters": reading.duplicate_clusters,
            "cross_patient_clusters": reading.cross_patient_clusters,
        },
    }


def _read_by_content(path: Path) -> tuple[Manifest, ScreeningTask]:
    read: list[tuple[Manifest, ScreeningTask]] = []
    refused: list[ManifestError] = []
    for family in dict.fromkeys(task.family for task in TASKS.values()):
        try:
            read.append(read_dataset(path, task_family=family))
        except ManifestError as error:
            refused.append(error)
    if not read:
        raise refused[0]
    return max(read, key=lambda found: len(found[0].rows))
