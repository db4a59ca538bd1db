"""Stage 1: pictures. Draw or read them, prepare them, find what belongs together, deal and split.

Every row of the source ends as a picture or in exactly one counted bucket; the buckets go into the report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eyebright_common.durable import write_json
from eyebright_common.errors import InputError
from eyebright_common.manifest import (
    Clusters,
    Loaded,
    Manifest,
    Row,
    cluster_duplicates,
    load_prepared,
    read_dataset,
    split_groups,
)
from eyebright_common.tasks import ScreeningTask
from eyebright_learning.data import PreparedImages
from eyebright_simulations.cohorts import default_sites, generate
from eyebright_simulations.network.context import Context
from eyebright_simulations.network.dataset import OPERATOR_HOLDER, TEST, TRAIN, VALIDATION, Dataset, Picture
from eyebright_simulations.network.readers import misread
from eyebright_simulations.network.workspace import Facts
from eyebright_simulations.partition import deal

# Labels are scarce at a hospital and drawn test patients cost nothing: few to train on, many to be sure on.
DRAWN_SPLIT = {TRAIN: 0.15, VALIDATION: 0.10, TEST: 0.75}
GIVEN_SPLIT = {TRAIN: 0.60, VALIDATION: 0.15, TEST: 0.25}
OPERATOR_SPLIT = {TRAIN: 0.80, VALIDATION: 0.20}
OPERATOR_SHARE = 0.30
_UNGRADABLE = "ungradable:"
_DRAWING, _LOADING = 0.6, 0.95  # where the progress bar stands after each step of a synthetic cohort


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dealt:
    """The data set, how many pictures moved to keep a group whole, and how many labels are a reader's mistake."""

    dataset: Dataset
    moved: int
    misread: int


def gather(context: Context) -> Facts:
    """Draw or read, prepare, group, deal and split the pictures; save the data set.

    Raises:
        EyebrightError: the data cannot be used; the message names what and the fix.
    """
    manifest, task = read_dataset(_source(context), task_family=context.options.task)
    loaded = load_prepared(
        manifest.rows,
        modality=task.modality,
        size=context.options.pixels,
        workers=context.workers,
        on_progress=lambda done, total: context.update(
            _DRAWING + (_LOADING - _DRAWING) * done / total, f"{done:,} of {total:,} pictures read"
        ),
    )
    _write_local_list(context, manifest, loaded)
    rows = list(manifest.rows)
    patients = [rows[i].patient_id for i in loaded.kept]
    clusters = cluster_duplicates(loaded.descriptors, patients, modality=task.modality)
    dealt = _dealt(context, task, rows, loaded, clusters)
    _check_every_part(dealt.dataset)
    dealt.dataset.save(context.out / "work")
    return _facts(task, manifest, loaded, clusters, dealt)


def _source(context: Context) -> Path:
    options = context.options
    if not options.synthetic:
        return Path(options.data)
    return generate(
        options.task,
        context.out / "cohort",
        seed=options.seed,
        sites=default_sites(options.hospitals or 3, task_name=options.task),
        workers=context.workers,
        on_progress=lambda done, total: context.update(
            _DRAWING * done / total, f"{done:,} of {total:,} pictures drawn"
        ),
    )


def _dealt(context: Context, task: ScreeningTask, rows: Sequence[Row], loaded: Loaded, clusters: Clusters) -> _Dealt:
    options = context.options
    image_of = {int(row): image for image, row in enumerate(loaded.kept)}
    reason_of = _ungradable(rows, loaded)
    usable = [index for index in range(len(rows)) if index in image_of or index in reason_of]
    groups = _groups(usable, rows, image_of, clusters)
    labels = np.array([_label(task, rows[index]) for index in usable], dtype=np.int64)
    partition = deal(
        groups,
        labels,
        [rows[index].site for index in usable],
        method=options.partition or _natural_partition(rows),
        hospitals=None if options.synthetic else options.hospitals,
        operator_share=OPERATOR_SHARE,
        seed=options.seed,
    )
    splits = _split(groups, labels, partition.holder, DRAWN_SPLIT if options.synthetic else GIVEN_SPLIT, options.seed)
    one_reader = np.array(
        [
            row in image_of and held != OPERATOR_HOLDER and split != TEST
            for row, held, split in zip(usable, partition.holder, splits, strict=True)
        ]
    )
    misreadings = 0
    if options.synthetic:
        labels, misreadings = misread(labels, one_reader, classes=len(task.classes), seed=options.seed)
    pictures = tuple(
        Picture(
            path=str(rows[index].image_path),
            patient=rows[index].patient_id,
            eye=rows[index].eye,
            label=int(labels[at]),
            group=int(groups[at]),
            site=rows[index].site,
            holder=int(partition.holder[at]),
            split=str(splits[at]),
            image=image_of.get(index, -1),
            reasons=reason_of.get(index, ()),
        )
        for at, index in enumerate(usable)
    )
    dataset = Dataset(pictures=pictures, images=_images(pictures, loaded), hospitals=partition.hospitals)
    return _Dealt(dataset=dataset, moved=partition.moved, misread=misreadings)


def _ungradable(rows: Sequence[Row], loaded: Loaded) -> dict[int, tuple[str, ...]]:
    kept = set(loaded.kept.tolist())
    missing = [index for index in range(len(rows)) if index not in kept]
    return {
        index: (reason.removeprefix(_UNGRADABLE),)
        for index, (_, reason) in zip(missing, loaded.problems, strict=True)
        if reason.startswith(_UNGRADABLE)
    }


def _groups(
    usable: Sequence[int], rows: Sequence[Row], image_of: dict[int, int], clusters: Clusters
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Give an ungradable picture its patient's group, or a new one when the patient has no gradable picture."""
    of_patient = {rows[row].patient_id: int(clusters.group[image]) for row, image in image_of.items()}
    fresh = int(clusters.group.max(initial=-1)) + 1
    groups = []
    for index in usable:
        if index in image_of:
            groups.append(int(clusters.group[image_of[index]]))
        else:
            groups.append(of_patient.setdefault(rows[index].patient_id, fresh))
            fresh = max(fresh, groups[-1] + 1)
    return np.array(groups, dtype=np.int64)


def _label(task: ScreeningTask, row: Row) -> int:
    index = task.index_of(row.label or "")
    assert index is not None, "the manifest keeps only rows of the task"
    return index


def _natural_partition(rows: Sequence[Row]) -> str:
    return "site" if len({row.site for row in rows}) > 1 and all(row.site for row in rows) else "iid"


def _split(
    groups: np.ndarray[tuple[int], np.dtype[np.int64]],
    labels: np.ndarray[tuple[int], np.dtype[np.int64]],
    holder: np.ndarray[tuple[int], np.dtype[np.int64]],
    hospital_split: dict[str, float],
    seed: int,
) -> list[str]:
    splits = np.empty(len(groups), dtype=object)
    for place in np.unique(holder):
        held = np.flatnonzero(holder == place)
        fractions = OPERATOR_SPLIT if place == OPERATOR_HOLDER else hospital_split
        splits[held] = split_groups(groups[held], labels[held], fractions, seed)
    return [str(split) for split in splits]


def _images(pictures: Sequence[Picture], loaded: Loaded) -> PreparedImages:
    gradable = [picture for picture in pictures if picture.image >= 0]
    order = np.argsort([picture.image for picture in gradable])
    ordered = [gradable[i] for i in order]
    return PreparedImages.of(
        loaded.pixels,
        np.array([p.label for p in ordered], dtype=np.int64),
        patients=[p.patient for p in ordered],
        eyes=[p.eye for p in ordered],
        groups=np.array([p.group for p in ordered], dtype=np.int64),
    )


def _check_every_part(dataset: Dataset) -> None:
    counts = Counter((picture.holder, picture.split) for picture in dataset.pictures if picture.image >= 0)
    for holder, name in [(OPERATOR_HOLDER, "the operator"), *enumerate(dataset.hospitals)]:
        for split in (TRAIN, VALIDATION) if holder == OPERATOR_HOLDER else (TRAIN, VALIDATION, TEST):
            least = 4 if split == TRAIN else 1
            count = counts[holder, split]
            if count < least:
                raise InputError(
                    f"{name} would have {count} gradable {split} pictures; it needs at least {least}",
                    fix="Use more data, fewer hospitals, or another --partition.",
                )


def _write_local_list(context: Context, manifest: Manifest, loaded: Loaded) -> None:
    """Keep the names of what was left out beside the run: for the person at this machine, never for the report."""
    names = [{"file": name, "reason": reason} for name, reason in (*manifest.problems, *loaded.problems)]
    write_json(context.out / "left_out.local.json", names, mode=0o600)


def _facts(task: ScreeningTask, manifest: Manifest, loaded: Loaded, clusters: Clusters, dealt: _Dealt) -> Facts:
    dataset = dealt.dataset
    left_out = Counter(manifest.left_out) + loaded.left_out
    return {
        "task": task.name,
        "images": len(loaded.kept),
        "patients": len({picture.patient for picture in dataset.pictures if picture.image >= 0}),
        "left_out": dict(sorted(left_out.items())),
        "notes": dict(manifest.notes),
        "manifest_digest": manifest.digest,
        "duplicates": {
            "clusters": clusters.duplicate_clusters,
            "images": clusters.images_in_duplicate_clusters,
            "across_patients": clusters.cross_patient_clusters,
            "largest": clusters.largest_cluster,
        },
        "moved_to_keep_groups_whole": dealt.moved,
        "misread": dealt.misread,
        "operator": _holder_facts(task, dataset, OPERATOR_HOLDER, "operator"),
        "hospitals": [_holder_facts(task, dataset, index, name) for index, name in enumerate(dataset.hospitals)],
    }


def _holder_facts(task: ScreeningTask, dataset: Dataset, holder: int, name: str) -> Facts:
    held = [picture for picture in dataset.pictures if picture.holder == holder]
    gradable = [picture for picture in held if picture.image >= 0]
    splits = Counter(picture.split for picture in gradable)
    labels = Counter(task.classes[picture.label] for picture in gradable)
    return {
        "name": name,
        **{split: splits[split] for split in (TRAIN, VALIDATION, TEST)},
        "labels": {label: labels[label] for label in task.classes},
        "patients": len({picture.patient for picture in gradable}),
        "ungradable": len(held) - len(gradable),
    }
