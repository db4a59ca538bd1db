"""The pictures of a study: read or drawn, prepared, grouped, put in an order of their own, and dealt to folds.

* Every row of the source ends as a picture or in exactly one counted bucket.
* Pictures are ordered by the digest of their pixels and groups numbered by their first picture, so that the rows of a
  manifest may be shuffled without changing a fold, a view or a prediction.
* ``work/images.npz`` holds the pictures, ``work/folds.npz`` the fold of each. Names of what was left out stay in a
  local list.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from eyebright_common.durable import replacing, write_json
from eyebright_common.errors import InputError
from eyebright_common.manifest import Clusters, Loaded, Manifest, cluster_duplicates, load_prepared, read_dataset
from eyebright_common.tasks import ScreeningTask
from eyebright_learning.data import PreparedImages
from eyebright_simulations.cohorts import default_sites, generate
from eyebright_simulations.cohorts.generation import MANIFEST
from eyebright_simulations.network.context import Context
from eyebright_simulations.study.folds import FoldParts, Integers, assign_folds, fold_parts
from eyebright_simulations.study.options import StudyOptions
from eyebright_simulations.study.records import Facts

_DRAWN = 0.5  # where the progress bar stands when a synthetic cohort is drawn


def prepare(context: Context, *, options: StudyOptions) -> Facts:
    """Prepare, group and deal the pictures; return counts.

    Raises:
        EyebrightError: the data cannot be used; the message names what and the fix.
    """
    manifest, task = read_dataset(_source(context, options), task_family=options.task)
    rows = [row for row in manifest.rows if task.index_of(row.label or "") is not None]
    loaded = load_prepared(
        rows,
        modality=task.modality,
        size=options.image_size,
        workers=context.workers,
        on_progress=lambda done, total: context.update(
            _DRAWN + (1.0 - _DRAWN) * done / total, f"{done:,} of {total:,} pictures read"
        ),
    )
    names = [{"file": name, "reason": reason} for name, reason in (*manifest.problems, *loaded.problems)]
    write_json(context.out / "left_out.local.json", names, mode=0o600)
    kept = [rows[i] for i in loaded.kept]
    patients = [row.patient_id for row in kept]
    clusters = cluster_duplicates(loaded.descriptors, patients, modality=task.modality)
    labels = np.array([task.index_of(row.label or "") for row in kept], dtype=np.int64)
    images = in_own_order(
        PreparedImages.of(
            loaded.pixels, labels, patients=patients, eyes=[row.eye for row in kept], groups=clusters.group
        )
    )
    fold_of = assign_folds(images.groups, images.labels, folds=options.folds, seed=options.seed)
    _check_classes(images, task)
    save_pictures(context.out, images, fold_of)
    unlabelled = len(manifest.rows) - len(rows)
    return _facts(task, manifest, loaded, clusters, images, fold_of, unlabelled)


def in_own_order(images: PreparedImages) -> PreparedImages:
    """Return the pictures sorted by their digests, groups numbered in that order from 0."""
    order = sorted(range(len(images)), key=lambda i: (images.digests[i], images.patients[i], int(images.labels[i])))
    ordered = images.subset(np.array(order, dtype=np.int64))
    _, first, member = np.unique(ordered.groups, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return PreparedImages(
        pixels=ordered.pixels,
        labels=ordered.labels,
        digests=ordered.digests,
        patients=ordered.patients,
        eyes=ordered.eyes,
        groups=rank[member],
    )


def save_pictures(out: Path, images: PreparedImages, fold_of: Integers) -> None:
    """Write the pictures and the fold of each."""
    images.save(out / "work" / "images.npz")
    with replacing(out / "work" / "folds.npz") as file:
        np.savez(file, allow_pickle=False, fold=fold_of, groups=images.groups, labels=images.labels)


def load_fold(out: Path, fold: int, *, seed: int) -> tuple[PreparedImages, FoldParts]:
    """Return all pictures of a study and the parts of one fold."""
    images = PreparedImages.load(out / "work" / "images.npz")
    fold_of, _, _ = load_table(out)
    return images, fold_parts(images.groups, images.labels, fold_of, fold, seed=seed)


def load_table(out: Path) -> tuple[Integers, Integers, Integers]:
    """Return fold, group and label of every picture, each ``[N]``."""
    with (out / "work" / "folds.npz").open("rb") as stream, np.load(stream, allow_pickle=False) as file:
        return file["fold"], file["groups"], file["labels"]


def _source(context: Context, options: StudyOptions) -> Path:
    if not context.options.synthetic:
        return Path(options.data)
    folder = context.out / "cohort"
    if folder.exists():  # a cohort appears only when it is whole; a killed study left it
        return folder / MANIFEST
    return generate(
        options.task,
        folder,
        seed=options.seed,
        sites=default_sites(3, task_name=options.task),
        workers=context.workers,
        on_progress=lambda done, total: context.update(_DRAWN * done / total, f"{done:,} of {total:,} pictures drawn"),
    )


def _check_classes(images: PreparedImages, task: ScreeningTask) -> None:
    there = np.bincount(images.labels, minlength=len(task.classes)) > 0
    if there.sum() < 2:
        raise InputError(
            "a study needs pictures of at least two classes",
            value=", ".join(name for name, found in zip(task.classes, there, strict=True) if found) or "none",
            fix="Look at left_out.local.json for what became of the others.",
        )


def _facts(
    task: ScreeningTask,
    manifest: Manifest,
    loaded: Loaded,
    clusters: Clusters,
    images: PreparedImages,
    fold_of: Integers,
    unlabelled: int,
) -> Facts:
    left_out = Counter(manifest.left_out) + loaded.left_out
    left_out["label_of_no_class"] += unlabelled
    return {
        "task": task.name,
        "images": len(images),
        "patients": len(set(images.patients)),
        "groups": int(images.groups.max()) + 1,
        "labels": dict(
            zip(task.classes, np.bincount(images.labels, minlength=len(task.classes)).tolist(), strict=True)
        ),
        "left_out": {reason: count for reason, count in sorted(left_out.items()) if count},
        "duplicate_images": clusters.images_in_duplicate_clusters,
        "duplicate_clusters_across_patients": clusters.cross_patient_clusters,
        "fold_sizes": np.bincount(fold_of).tolist(),
        "manifest_digest": manifest.digest,
    }
