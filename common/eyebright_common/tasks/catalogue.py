"""The tasks Eyebright knows, and how a name and a set of labels lead to one of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from eyebright_common.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreeningTask:
    """One screening task.

    Attributes:
        name: Stable identifier, also the folder name of its releases.
        family: What a person types; several tasks may share one.
        title: For people.
        modality: ``CFP`` (colour fundus photograph) or ``OCT`` (B-scan).
        classes: Class names in logit order; the first is the healthy one.
        referable: The classes for which a patient is sent on.
        teacher: Default teacher, by the name that builds it, for small machines and random weights.
        student: Default student architecture.
    """

    name: str
    family: str
    title: str
    modality: str
    classes: tuple[str, ...]
    referable: frozenset[str]
    teacher: str
    student: str = "mobilenet_v2"

    @property
    def referable_mask(self) -> tuple[bool, ...]:
        """For each class, in logit order, whether it is referable."""
        return tuple(name in self.referable for name in self.classes)

    def index_of(self, label: str) -> int | None:
        """Return the logit index of a label as written in a data set, or None when it is not of this task."""
        name = normalise_label(label)
        return self.classes.index(name) if name in self.classes else None


def normalise_label(label: str) -> str:
    """Return the canonical spelling of a label: lower case, underscores, common synonyms resolved."""
    word = re.sub(r"[^a-z0-9]+", "_", label.strip().lower()).strip("_")
    return _SYNONYMS.get(word, word)


_SYNONYMS = {
    "dr": "diabetic_retinopathy",
    "diabetic_retinopathies": "diabetic_retinopathy",
    "cataracts": "cataract",
    "healthy": "normal",
    "choroidal_neovascularization": "cnv",
    "choroidal_neovascularisation": "cnv",
    "diabetic_macular_edema": "dme",
    "diabetic_macular_oedema": "dme",
    "nodme": "no_dme",
}

_FUNDUS_TEACHER = "vit_tiny_r_s16_p8_224"
_OCT_TEACHER = "resnet18"  # learns from random weights in the few passes of a rehearsal (docs/adr/0013)

TASKS: dict[str, ScreeningTask] = {
    task.name: task
    for task in (
        ScreeningTask(
            name="fundus",
            family="fundus",
            title="Diabetic retinopathy, glaucoma and cataract in colour fundus photographs",
            modality="CFP",
            classes=("normal", "diabetic_retinopathy", "glaucoma", "cataract"),
            referable=frozenset({"diabetic_retinopathy", "glaucoma", "cataract"}),
            teacher=_FUNDUS_TEACHER,
        ),
        ScreeningTask(
            name="oct",
            family="oct",
            title="Drusen, choroidal neovascularisation and macular oedema in OCT B-scans",
            modality="OCT",
            classes=("normal", "drusen", "cnv", "dme"),
            referable=frozenset({"drusen", "cnv", "dme"}),
            teacher=_OCT_TEACHER,
        ),
        ScreeningTask(
            name="oct-neh",
            family="oct",
            title="Drusen and choroidal neovascularisation in OCT B-scans",
            modality="OCT",
            classes=("normal", "drusen", "cnv"),
            referable=frozenset({"drusen", "cnv"}),
            teacher=_OCT_TEACHER,
        ),
        ScreeningTask(
            name="oct-dme",
            family="oct",
            title="Diabetic macular oedema in OCT B-scans",
            modality="OCT",
            classes=("no_dme", "dme"),
            referable=frozenset({"dme"}),
            teacher=_OCT_TEACHER,
        ),
    )
}


def get_task(name: str) -> ScreeningTask:
    """Return the task called ``name``.

    Raises:
        InputError: no task has that name.
    """
    if name not in TASKS:
        raise InputError("unknown task", value=name, fix=f"Choose one of: {', '.join(TASKS)}.")
    return TASKS[name]


def resolve_task(name: str, labels: Iterable[str]) -> ScreeningTask:
    """Return the member of the family ``name`` that keeps the most of a data set's labelled rows.

    Args:
        name: A task or family name.
        labels: One label per row, as written.

    Raises:
        InputError: no task has that name, or the data has fewer than two classes of every member.
    """
    asked = get_task(name)
    members = [asked, *(task for task in TASKS.values() if task.family == asked.family and task is not asked)]
    found: dict[str, int] = {}
    for label in labels:
        word = normalise_label(label)
        found[word] = found.get(word, 0) + 1
    usable = [task for task in members if sum(c in found for c in task.classes) >= 2]
    if not usable:
        raise InputError(
            f"the data has fewer than two classes of task {name!r}",
            value=", ".join(sorted(found)) or "no labels at all",
            fix=f"Expected labels: {', '.join(asked.classes)}.",
        )
    # Most rows kept; between equals fewest absent classes, then the family's own order.
    return max(
        usable,
        key=lambda t: (sum(found.get(c, 0) for c in t.classes), -sum(c not in found for c in t.classes)),
    )
