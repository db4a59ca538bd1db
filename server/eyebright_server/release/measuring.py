"""Running a candidate, and the releases before it, over a site's data: the file that ships, as a unit runs it.

Every release sees the pictures as *it* has them prepared, and each proves its golden cases on this machine first. A row
of the manifest marked in a column ``must_refer`` (1, yes, true) is a patient nobody may miss; columns ``dilated`` and
the manifest's own ``camera``, ``sex`` and ``age_band`` become parts.

The operator runs it on data of its own; a hospital can run it on data that stays with it and send the counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from eyebright_common.errors import InputError
from eyebright_common.manifest import Row, read_dataset
from eyebright_common.release import MODEL_FILE, Eye, Release, prove, read_golden, read_release
from eyebright_common.release.evidence import ShortcutLevel, SiteEvidence
from eyebright_common.tasks import ScreeningTask
from eyebright_server.release.auditing import audit_data
from eyebright_server.release.evaluation import outcomes_of, task_of
from eyebright_server.release.reference_runtime import ReferenceRuntime
from eyebright_server.release.site_evidence import SMALLEST_PART, About, Answered, Logits, Role, evidence_of
from eyebright_server.release.tally import UNNAMED_SITE, Graded, Outcome

AUDIT_REPLICATES = 200
_YES = frozenset({"1", "yes", "true"})
_UNGRADABLE = "ungradable:"

Progress = Callable[[int, int], None]


def measure_data(
    folder: Path,
    release: Release,
    data: Path,
    *,
    others: Mapping[Role, Path] | None = None,
    site: str | None = None,
    unit_camera: bool = False,
    audit: bool = True,
    smallest: int = SMALLEST_PART,
    workers: int = 2,
    on_progress: Progress | None = None,
) -> list[SiteEvidence]:
    """Return what a data set tells the gate, one document for each site in it.

    Args:
        folder: Where the candidate's files are.
        release: Its description.
        data: A manifest file or a folder per class.
        others: Folders of the older releases to compare with.
        site: Name for the whole; without it the manifest's sites.
        unit_camera: Whether the pictures are from cameras of units.
        audit: Whether to ask if the labels can be told without looking at the retina.
        smallest: Patients that a part needs to be told.
        workers: Pictures in work at the same time.
        on_progress: Called with ``(pictures done, pictures in all)``.

    Raises:
        EyebrightError: the data or a release cannot be used here.
    """
    task = task_of(release)
    manifest, _ = read_dataset(data, task_family=release.task, exact=True)
    rows = manifest.rows
    older = {role: (path, read_release(path)) for role, path in (others or {}).items()}
    total, done = len(rows) * (1 + len(older)), 0

    def answers(path: Path, of: Release) -> list[Outcome]:
        nonlocal done
        begun = done
        found = _answers(path, of, rows, workers, lambda n, _: on_progress(begun + n, total) if on_progress else None)
        done = begun + len(rows)
        return found

    candidate = answers(folder, release)
    before = {role: answers(path, of) for role, (path, of) in older.items()}
    if not any(isinstance(outcome, Graded) for outcome in candidate):
        reasons = ", ".join(sorted(Counter(map(str, candidate))))
        raise InputError("not one picture of the data can be graded", value=f"{data}: {reasons}")
    judged = [index for index, outcome in enumerate(candidate) if _is_result(outcome)]
    by_site: dict[str, list[Answered]] = {}
    for index in judged:
        name = site or rows[index].site or UNNAMED_SITE
        by_site.setdefault(name, []).append(_answered(rows[index], task, candidate[index], before, index))
    shortcut = _shortcut(data, release) if audit else None
    return [
        evidence_of(
            pictures,
            About(
                site=name,
                task=task,
                release=release,
                model_sha256=release.artefact(MODEL_FILE).sha256,
                others={role: of for role, (_, of) in older.items()},
                data_digest=manifest.digest,
                unit_camera=unit_camera,
                shortcut=shortcut,
                smallest=smallest,
            ),
        )
        for name, pictures in sorted(by_site.items())
    ]


def _answers(folder: Path, release: Release, rows: Sequence[Row], workers: int, on_progress: Progress) -> list[Outcome]:
    runtime = ReferenceRuntime(folder / MODEL_FILE)
    prove(runtime.run, read_golden(folder, release)).require("ONNX Runtime on this machine")
    return list(outcomes_of(rows, release, runtime, workers=workers, on_progress=on_progress))


def _is_result(outcome: Outcome) -> bool:
    return isinstance(outcome, Graded) or outcome.startswith(_UNGRADABLE)


def _answered(
    row: Row, task: ScreeningTask, outcome: Outcome, before: Mapping[Role, Sequence[Outcome]], index: int
) -> Answered:
    def logits(found: Outcome) -> Logits | None:
        return found.logits if isinstance(found, Graded) else None

    return Answered(
        patient=row.patient_id,
        eye=Eye(row.eye),
        label=task.classes.index(row.label or ""),
        candidate=logits(outcome),
        others={role: logits(found[index]) for role, found in before.items()},
        facts={
            "camera": row.camera,
            "sex": row.sex,
            "age_band": row.age_band,
            "dilated": row.extra.get("dilated", ""),
            "quality": outcome.quality if isinstance(outcome, Graded) else "",
        },
        must_refer=row.extra.get("must_refer", "").strip().lower() in _YES,
    )


def _shortcut(data: Path, release: Release) -> ShortcutLevel | None:
    try:
        found = audit_data(data, task_family=release.task, replicates=AUDIT_REPLICATES)
    except InputError:
        return None  # too small to audit; the gate says that it was not run
    level: ShortcutLevel = found["verdict"]["level"]
    return level
