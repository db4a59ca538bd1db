"""What may be said outside: words of our own, and counts of people that are not too small.

* A reason may carry what a person wrote into a label cell (``label_not_in_task:…``): it is kept only where it is the
  name of a disease that we know, else it becomes ``other``.
* Tables about people (classes, eyes, ages) show a count from 1 to ``FLOOR - 1`` as ``<10``. Counts of files that cannot
  be read are about files and stay exact: with them the hospital's own list can be checked.
* Sites and cameras are numbered by size: their names may be those of departments and people.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from eyebright_common.tasks import TASKS

FLOOR = 10

_DISEASES = frozenset(
    {
        "amd",
        "pathological_myopia",
        "hypertensive_retinopathy",
        "macular_edema",
        "macular_hole",
        "drusens",
        "scar",
        "nevus",
    }
    | {"vascular_occlusion", "hemorrhage", "retinal_detachment", "myopic_fundus", "increased_cup_disc", "suspected"}
    | {"several_findings", "no_fundus_image", "no_referable_glaucoma", "other"}
    | {f"icdr_{grade}" for grade in range(5)}
)
VOCABULARY = frozenset(name for task in TASKS.values() for name in task.classes) | _DISEASES | {"CFP", "OCT"}


def shareable_reason(reason: str) -> str:
    """Return a bucket's name without anything that a person wrote."""
    head, colon, tail = reason.partition(":")
    if not colon or head == "ungradable":
        return reason
    return f"{head}:{tail}" if tail in VOCABULARY else f"{head}:other"


def shareable_reasons(counts: Mapping[str, int]) -> dict[str, int]:
    """Return counted reasons with shareable names, most frequent first."""
    total: Counter[str] = Counter()
    for reason, count in counts.items():
        total[shareable_reason(reason)] += count
    return {reason: count for reason, count in sorted(total.items(), key=lambda item: (-item[1], item[0])) if count}


def suppressed(count: int) -> int | str:
    """Return a count of people, or ``<10`` where it is so small that it might point at one."""
    return f"<{FLOOR}" if 0 < count < FLOOR else count


def people_table(counts: Mapping[str, int]) -> dict[str, int | str]:
    """Return a table of counts of people, small ones suppressed."""
    return {name: suppressed(count) for name, count in counts.items()}


def numbered(names: Iterable[str], word: str) -> dict[str, str]:
    """Return name → ``word 1`` …, the most frequent first; an empty name stays empty."""
    ranked: Sequence[tuple[str, int]] = Counter(name for name in names if name).most_common()
    ordered = sorted(ranked, key=lambda item: (-item[1], item[0]))
    return {"": "", **{name: f"{word} {number}" for number, (name, _) in enumerate(ordered, start=1)}}
