"""Labelled pictures for a teacher: read, judged, prepared, grouped, and dealt to train, validation and test.

* A patient with every copy of a picture goes to one part. The source's own split, where it names one, is not followed:
  it may part what belongs together.
* Names of what was left out stay in a list that only this account can read; ``facts.json`` has counts alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from eyebright_common.durable import write_bytes, write_json
from eyebright_common.errors import InputError
from eyebright_common.manifest import (
    Clusters,
    Loaded,
    Manifest,
    cluster_duplicates,
    load_prepared,
    read_dataset,
    split_groups,
)
from eyebright_common.manifest.loading import Progress
from eyebright_common.tasks import ScreeningTask
from eyebright_learning.data import PreparedImages
from eyebright_server.teacher.facts import (
    FACTS,
    TEST,
    TRAIN,
    VALIDATION,
    DuplicateFacts,
    PreparedFacts,
    part_facts,
    part_path,
)

LEFT_OUT = "left_out.local.json"
_LEAST = {TRAIN: 4, VALIDATION: 2, TEST: 2}


def shares_of(*, validation: float, test: float) -> dict[str, float]:
    """Return the share of every part; a part that is due nothing is left out.

    Raises:
        InputError: training would get nothing, validation nothing, or a share is negative.
    """
    if validation <= 0.0 or test < 0.0 or validation + test >= 1.0:
        raise InputError(
            "validation needs a share above 0, test one of 0 or more, and training the rest",
            value=f"validation {validation:g}, test {test:g}",
            fix="Give for example --validation 0.15 --test 0.15.",
        )
    shares = {TRAIN: 1.0 - validation - test, VALIDATION: validation, TEST: test}
    return {part: share for part, share in shares.items() if share > 0.0}


def prepare_labelled(
    data: Path,
    out: Path,
    *,
    task: str,
    image_size: int,
    shares: Mapping[str, float],
    seed: int,
    workers: int,
    on_progress: Progress | None = None,
) -> PreparedFacts:
    """Write the parts and their facts; return the facts.

    Args:
        data: A manifest, or a folder per class.
        out: The folder to write to.
        task: A task or the family of one; the labels decide which member it is.
        image_size: Side of the prepared pictures in pixels.
        shares: From ``shares_of``.
        seed: Of the split.
        workers: Processes that decode.
        on_progress: Called with ``(rows done, rows in all)``.

    Raises:
        EyebrightError: the data cannot be used; the message names what and the fix.
    """
    manifest, found = read_dataset(data, task_family=task)
    loaded = load_prepared(
        manifest.rows, modality=found.modality, size=image_size, workers=workers, on_progress=on_progress
    )
    write_names(out, (*manifest.problems, *loaded.problems))
    images, clusters = _grouped(manifest, found, loaded)
    split = split_groups(images.groups, images.labels, shares, seed)
    parts = {part: images.subset(split == part) for part in shares}
    _check_parts(parts, found)
    facts = PreparedFacts(
        task=found.name,
        classes=found.classes,
        modality=found.modality,
        image_size=image_size,
        seed=seed,
        shares=dict(shares),
        rows=len(manifest.rows) + sum(manifest.left_out.values()),
        left_out=dict(sorted((Counter(manifest.left_out) + loaded.left_out).items())),
        notes=dict(manifest.notes),
        manifest_digest=manifest.digest,
        groups=len(np.unique(images.groups)),
        duplicates=duplicate_facts(clusters),
        quality=dict(sorted(Counter(loaded.verdicts).items())),
        parts={part: part_facts(held, found.classes) for part, held in parts.items()},
    )
    write_parts(out, parts, facts)
    return facts


def write_parts(out: Path, parts: Mapping[str, PreparedImages], facts: PreparedFacts) -> None:
    """Write every part, and the facts when all of them are there."""
    for part, images in parts.items():
        images.save(part_path(out, part))
    write_bytes(out / FACTS, facts.to_json())


def write_names(out: Path, problems: Sequence[tuple[str, str]]) -> None:
    """Keep the names of what was left out: for the person at this machine."""
    names = [{"file": name, "reason": reason} for name, reason in problems]
    write_json(out / LEFT_OUT, names, mode=0o600)


def duplicate_facts(clusters: Clusters) -> DuplicateFacts:
    """Return the counts of copies."""
    return DuplicateFacts(
        clusters=clusters.duplicate_clusters,
        images=clusters.images_in_duplicate_clusters,
        across_patients=clusters.cross_patient_clusters,
        largest=clusters.largest_cluster,
    )


def _grouped(manifest: Manifest, task: ScreeningTask, loaded: Loaded) -> tuple[PreparedImages, Clusters]:
    rows = [manifest.rows[index] for index in loaded.kept]
    patients = [row.patient_id for row in rows]
    clusters = cluster_duplicates(loaded.descriptors, patients, modality=task.modality)
    labels = [task.index_of(row.label or "") for row in rows]
    assert None not in labels, "the manifest keeps only rows of the task"
    images = PreparedImages.of(
        loaded.pixels,
        np.array(labels, dtype=np.int64),
        patients=patients,
        eyes=[row.eye for row in rows],
        groups=clusters.group,
    )
    return images, clusters


def _check_parts(parts: Mapping[str, PreparedImages], task: ScreeningTask) -> None:
    for part, images in parts.items():
        if len(images) < _LEAST[part]:
            raise InputError(
                f"the {part} part would have too few pictures",
                value=f"{len(images)}, needed {_LEAST[part]}",
                fix=f"Give more data, or another share. What was left out, and why: {LEFT_OUT}.",
            )
    present = np.unique(parts[TRAIN].labels)
    if len(present) < 2:
        raise InputError(
            "the train part has pictures of one class only",
            value=", ".join(task.classes[label] for label in present),
            fix=f"Give more data. What was left out, and why: {LEFT_OUT}.",
        )
