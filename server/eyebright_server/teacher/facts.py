"""What ``prepare`` leaves behind, as ``pretrain`` and ``train`` find it: pictures per part, and ``facts.json``.

* ``facts.json`` is written last. A folder without it was not finished.
* Every row or file of the source is in one part or in one bucket of ``left_out``; together they are ``rows``.
* A part is read only where its pictures are those that the facts describe.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from eyebright_common.documents import Document
from eyebright_common.errors import InputError
from eyebright_learning.data import PreparedImages

FACTS = "facts.json"
TRAIN, VALIDATION, TEST, UNLABELLED = "train", "validation", "test", "unlabelled"
PARTS = (TRAIN, VALIDATION, TEST, UNLABELLED)


class PartFacts(Document):
    """One part.

    Attributes:
        pictures: How many.
        patients: Of how many patients.
        labels: Pictures of each class, in the task's order; empty where nobody graded them.
        sha256: Of the pictures in order, as ``PreparedImages.digest``.
    """

    pictures: int
    patients: int
    labels: dict[str, int]
    sha256: str


class DuplicateFacts(Document):
    """Copies that were found.

    Attributes:
        clusters: Sets of pictures that are copies of one another, held-out ones that were compared included.
        images: Pictures in them.
        across_patients: Those sets that join different patient ids.
        largest: Pictures in the largest of them.
    """

    clusters: int
    images: int
    across_patients: int
    largest: int


class PreparedFacts(Document):
    """All that is known about a folder of prepared pictures.

    Attributes:
        schema_version: Of this file.
        task: Name of the task.
        classes: Its classes in logit order.
        modality: ``CFP`` or ``OCT``.
        image_size: Side of the pictures in pixels.
        seed: Of the split.
        shares: What each part was due.
        rows: Rows and files that the source names.
        left_out: Reason to rows.
        notes: Facts about kept rows.
        manifest_digest: Of the source's rows.
        groups: Patient-or-duplicate clusters.
        duplicates: Copies.
        quality: Verdict of the quality gate to pictures.
        parts: By name.
    """

    schema_version: int = Field(default=1, ge=1, le=1)
    task: str
    classes: tuple[str, ...]
    modality: str
    image_size: int
    seed: int
    shares: dict[str, float]
    rows: int
    left_out: dict[str, int]
    notes: dict[str, int]
    manifest_digest: str
    groups: int
    duplicates: DuplicateFacts
    quality: dict[str, int]
    parts: dict[str, PartFacts]


def part_path(folder: Path, part: str) -> Path:
    """Return where the pictures of a part lie."""
    return folder / f"{part}.npz"


def part_facts(images: PreparedImages, classes: tuple[str, ...]) -> PartFacts:
    """Return the facts of one part."""
    graded = [classes[label] for label in images.labels if label >= 0]
    labels = {name: graded.count(name) for name in classes} if graded else {}
    return PartFacts(pictures=len(images), patients=len(set(images.patients)), labels=labels, sha256=images.digest())


def read_facts(folder: Path) -> PreparedFacts:
    """Return the facts of a prepared folder.

    Raises:
        InputError: it was not prepared, not to its end, or by another version.
    """
    path = folder / FACTS
    try:
        return PreparedFacts.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(
            "this is no folder of prepared pictures", value=path, fix="Run `eyebright server teacher prepare` first."
        ) from error


def read_part(folder: Path, facts: PreparedFacts, part: str) -> PreparedImages:
    """Return the pictures of one part.

    Raises:
        InputError: there is no such part, or its pictures are not those of the facts.
    """
    if part not in facts.parts:
        raise InputError(
            f"the prepared folder has no part {part!r}", value=folder, fix=f"It has {', '.join(facts.parts)}."
        )
    images = PreparedImages.load(part_path(folder, part))
    if images.digest() != facts.parts[part].sha256:
        raise InputError(
            "the pictures are not the ones that facts.json describes",
            value=part_path(folder, part),
            fix="Prepare the folder again.",
        )
    return images
