"""The pictures of a study: read or drawn, prepared, grouped, put in an order of their own, and dealt to folds.

* Every row of the source ends as a picture or in exactly one counted bucket.
* Pictures are ordered by the digest of their pixels and groups numbered by their first picture, so that the rows of a
  manifest may be shuffled without changing a fold, a view or a prediction.
* ``work/images.npz`` holds the pictures, ``work/folds.npz`` fold and site of each. Names of what was left out stay in a
  local list.
* Where sites are compared a picture without one is left out, in a bucket of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eyebright_common.durable import replacing, write_json
from eyebright_common.errors import InputError
from eyebright_common.manifest import Clusters, Manifest, cluster_duplicates, load_prepared, read_dataset
from eyebright_common.tasks import ScreeningTask
from eyebright_learning.audit.site_drop import EVERYWHERE
from eyebright_learning.data import PreparedImages
from eyebright_simulations.cohorts import default_sites, generate
from eyebright_simulations.cohorts.generation import MANIFEST
from eyebright_simulations.network.context import Context
from eyebright_simulations.study.folds import FoldParts, HeldOut, Integers, assign_folds, fold_parts, site_parts
from eyebright_simulations.study.options import StudyOptions
from eyebright_simulations.study.records import Facts

_DRAWN = 0.5  # where the progress bar stands when a synthetic cohort is drawn


def prepare(context: Context, *, options: StudyOptions) -> Facts:
    """Prepare, group and deal the pictures; return counts.

    Raises:
        EyebrightError: the data cannot be used; the message names what and the fix.
    """
    manifest, task = read_dataset(_source(context, options), task_family=options.task)
    labelled = [row for row in manifest.rows if task.index_of(row.label or "") is not None]
    rows = [row for row in labelled if row.site] if options.kind == "sites" else labelled
    if options.kind == "sites":
        _check_sites([row.site for row in rows])
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
    images, sites = in_own_order(
        PreparedImages.of(
            loaded.pixels, labels, patients=patients, eyes=[row.eye for row in kept], groups=clusters.group
        ),
        [row.site for row in kept],
    )
    fold_of = assign_folds(images.groups, images.labels, folds=options.folds, seed=options.seed)
    _check_classes(images, task)
    if options.kind == "sites":
        _check_sites(sites)
        _, site_of = numbered(sites)
        for site in range(int(site_of.max()) + 1):
            site_parts(images.groups, images.labels, site_of, site, seed=options.seed)
    save_pictures(context.out, images, fold_of, sites)
    left_out = Counter(manifest.left_out) + loaded.left_out
    left_out["label_of_no_class"] += len(manifest.rows) - len(labelled)
    left_out["without_site"] += len(labelled) - len(rows)
    return _facts(task, manifest, clusters, images, fold_of, left_out)


def in_own_order(images: PreparedImages, sites: Sequence[str]) -> tuple[PreparedImages, tuple[str, ...]]:
    """Return the pictures sorted by their digests, groups numbered in that order from 0, and the site of each."""

    def own(i: int) -> tuple[str, str, int, str]:
        return images.digests[i], images.patients[i], int(images.labels[i]), sites[i]

    order = sorted(range(len(images)), key=own)
    ordered = images.subset(np.array(order, dtype=np.int64))
    _, first, member = np.unique(ordered.groups, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    ranked = PreparedImages(
        pixels=ordered.pixels,
        labels=ordered.labels,
        digests=ordered.digests,
        patients=ordered.patients,
        eyes=ordered.eyes,
        groups=rank[member],
    )
    return ranked, tuple(sites[i] for i in order)


def numbered(sites: Sequence[str]) -> tuple[tuple[str, ...], Integers]:
    """Return the names of the sites in order, and the number of each picture's site, ``[N]``."""
    names, site_of = np.unique(np.asarray(sites, dtype=np.str_), return_inverse=True)
    return tuple(str(name) for name in names), site_of.astype(np.int64)


def save_pictures(out: Path, images: PreparedImages, fold_of: Integers, sites: Sequence[str]) -> None:
    """Write the pictures, and fold and site of each."""
    images.save(out / "work" / "images.npz")
    with replacing(out / "work" / "folds.npz") as file:
        np.savez(
            file,
            allow_pickle=False,
            fold=fold_of,
            groups=images.groups,
            labels=images.labels,
            sites=np.asarray(sites, dtype=np.str_),
        )


def load_parts(out: Path, held_out: HeldOut, *, seed: int) -> tuple[PreparedImages, FoldParts]:
    """Return all pictures of a study, and the parts when a fold or a site is held out."""
    if held_out.by == "fold":
        return load_fold(out, held_out.number, seed=seed)
    images = PreparedImages.load(out / "work" / "images.npz")
    _, site_of = load_sites(out)
    return images, site_parts(images.groups, images.labels, site_of, held_out.number, seed=seed)


def load_fold(out: Path, fold: int, *, seed: int) -> tuple[PreparedImages, FoldParts]:
    """Return all pictures of a study and the parts of one fold."""
    images = PreparedImages.load(out / "work" / "images.npz")
    fold_of, _, _ = load_table(out)
    return images, fold_parts(images.groups, images.labels, fold_of, fold, seed=seed)


def load_table(out: Path) -> tuple[Integers, Integers, Integers]:
    """Return fold, group and label of every picture, each ``[N]``."""
    with (out / "work" / "folds.npz").open("rb") as stream, np.load(stream, allow_pickle=False) as file:
        return file["fold"], file["groups"], file["labels"]


def load_sites(out: Path) -> tuple[tuple[str, ...], Integers]:
    """Return the names of the sites in order, and the number of each picture's site, ``[N]``."""
    with (out / "work" / "folds.npz").open("rb") as stream, np.load(stream, allow_pickle=False) as file:
        return numbered(file["sites"])


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


def _check_sites(sites: Sequence[str]) -> None:
    names = sorted(set(sites))
    if EVERYWHERE in names:
        raise InputError("a site cannot be called so: it stands for all of them", value=EVERYWHERE, fix="Rename it.")
    if len(names) < 2:
        raise InputError(
            "a comparison of sites needs pictures of at least two sites",
            value=", ".join(names) or "no picture has a site",
            fix="Give a manifest with a column site, in which every site has readable pictures with a known label.",
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
    clusters: Clusters,
    images: PreparedImages,
    fold_of: Integers,
    left_out: Counter[str],
) -> Facts:
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
