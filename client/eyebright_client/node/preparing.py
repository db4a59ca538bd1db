"""From a hospital's data to its site directory: read, judged, prepared, grouped and split.

* A patient with every copy of a picture goes to one part, so nothing that was trained on is evaluated on.
* Nothing is skipped in silence: every row is in a part or counted by its reason. Names of what was left out are in
  ``left_out.local.json``, readable by this account alone.
* The parts are written last and each whole; a site that is in use keeps its old ones until then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eyebright_client.app.prepared_for import PreparedFor
from eyebright_common.durable import write_json
from eyebright_common.errors import InputError
from eyebright_common.manifest import cluster_duplicates, load_prepared, read_dataset, split_groups
from eyebright_learning.data import PreparedImages

SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}
LEFT_OUT = "left_out.local.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedSite:
    """What the site directory holds now.

    Attributes:
        task: The task that the labels decided.
        pictures: Pictures by part.
        left_out: Rows by reason.
    """

    task: str
    pictures: dict[str, int]
    left_out: dict[str, int]


def prepare_site(
    data: Path,
    site: Path,
    *,
    task: str,
    image_size: int,
    seed: int = 0,
    workers: int = 2,
    on_progress: Callable[[int, int], None] | None = None,
) -> PreparedSite:
    """Write the parts of ``data`` into the site directory and return what is in them.

    Args:
        data: A manifest, or a folder per class.
        site: The site directory.
        task: A task or the family of one, ``fundus`` or ``oct``.
        image_size: Side of the prepared pictures in pixels, as the plan asks.
        seed: Of the split.
        workers: Processes that decode.
        on_progress: Called with rows done and rows in all.

    Raises:
        EyebrightError: the data cannot be used; the message names what and the fix.
    """
    manifest, found = read_dataset(data, task_family=task)
    loaded = load_prepared(
        manifest.rows, modality=found.modality, size=image_size, workers=workers, on_progress=on_progress
    )
    names = [{"file": name, "reason": reason} for name, reason in (*manifest.problems, *loaded.problems)]
    write_json(site / LEFT_OUT, names, mode=0o600)
    rows = [manifest.rows[index] for index in loaded.kept]
    patients = [row.patient_id for row in rows]
    images = PreparedImages.of(
        loaded.pixels,
        np.array([found.index_of(row.label or "") for row in rows], dtype=np.int64),
        patients=patients,
        eyes=[row.eye for row in rows],
        groups=cluster_duplicates(loaded.descriptors, patients, modality=found.modality).group,
    )
    split = split_groups(images.groups, images.labels, SHARES, seed)
    parts = {part: images.subset(split == part) for part in SHARES}
    if min(len(parts["train"]), len(parts["validation"])) == 0:
        left = f"What was left out, and why: {site / LEFT_OUT}."
        raise InputError("a part would be empty", value=f"{len(images)} pictures can be used", fix=left)
    # First: pictures without the note would be taken for any task's.
    PreparedFor(task=found.name, image_size=image_size).write(site)
    for part, held in parts.items():
        held.save(site / f"{part}.npz")
    return PreparedSite(
        task=found.name,
        pictures={part: len(held) for part, held in parts.items()},
        left_out=dict(sorted((Counter(manifest.left_out) + loaded.left_out).items())),
    )
