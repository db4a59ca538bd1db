"""From a finished run of rounds to a request for a release.

A run is found by its name in the operator's folder, or by a path: of the run's folder, of its ``rounds`` folder, or of
a simulation's output (``arms/federated`` in it). What is taken from it: the plan, the weights of the best round, and
the hospitals' validation counts of that student, from which the threshold is chosen. Every file is checked by its
digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eyebright_common import __version__
from eyebright_common.errors import InputError
from eyebright_common.exchange import is_counter
from eyebright_common.plan import Plan
from eyebright_common.release import Lineage, Metrics, Preprocessing, next_version
from eyebright_common.tasks import ScreeningTask, get_task
from eyebright_learning.evaluation.counts import EvaluationCounts
from eyebright_learning.evaluation.operating_point import choose_threshold
from eyebright_server.federation.checkpoint import INDEX, Checkpoint, RunState
from eyebright_server.release.candidate import ReleaseRequest
from eyebright_server.release.card import SiteData
from eyebright_server.release.golden_pictures import GoldenPictures
from eyebright_server.release.operating_point import shipped_threshold
from eyebright_server.release.site_evidence import validation_evidence

if TYPE_CHECKING:
    from eyebright_learning.models import Student

VALIDATION = "validation"
_PLACES = (".", "rounds", "arms/federated/rounds")


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRun:
    """A run's plan and the state of its last round."""

    plan: Plan
    state: RunState

    @property
    def task(self) -> ScreeningTask:
        """What it was trained for."""
        return get_task(self.plan.task)

    def counts(self) -> dict[str, EvaluationCounts]:
        """Return the student's validation counts by hospital; hospitals are numbers to the server."""
        found = sorted(self.state.counts.items())
        return {f"hospital-{site}": EvaluationCounts.from_dict(counts, task=self.task) for site, counts in found}


def read_run(path: Path) -> FinishedRun:
    """Return the run at ``path``.

    Raises:
        InputError: there is none, or it has no finished round.
        FederationError: its files are not what was written.
    """
    fix = "Name a run of `eyebright server rounds`, or a simulation's output folder."
    folder = next((path / place for place in _PLACES if (path / place / INDEX).is_file()), None)
    if folder is None:
        raise InputError("there are no finished rounds here", value=path, fix=fix)
    try:
        plan = Plan.from_json((folder.resolve().parent / "plan.json").read_bytes())
        identity: dict[str, Any] = json.loads((folder / INDEX).read_bytes())["identity"]
        place = Checkpoint(
            folder=folder,
            plan_digest=plan.digest(),
            initial_sha256=str(identity["initial"]),
            hospitals=int(identity["hospitals"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError("the run's plan cannot be read", value=folder.parent / "plan.json", fix=fix) from error
    state = place.load()
    if state is None or not state.best_counts:
        raise InputError("the run has no round that was evaluated", value=folder, fix="Finish it: rounds resume.")
    return FinishedRun(plan=plan, state=state)


def student_of(run: FinishedRun) -> Student:
    """Return the student of the best round, calibrated if the run was."""
    import torch

    from eyebright_learning.models import build_student

    student = build_student(run.plan.student, classes=len(run.plan.classes), seed=run.plan.seed)
    state = {name: torch.from_numpy(array.copy()) for name, array in run.state.student.items()}
    missing, unexpected = student.load_state_dict(state, strict=False)
    if unexpected or not all(is_counter(name) for name in missing):
        raise InputError("the run's weights are of another student", value=run.plan.student)
    return student.eval()


def request_of(
    run: FinishedRun,
    golden: GoldenPictures,
    *,
    versions: Sequence[str],
    incumbent: Path | None,
    min_sensitivity: float,
    limits: Sequence[str] = (),
) -> ReleaseRequest:
    """Return what a release of a run says.

    Args:
        run: The run.
        golden: The operator's own pictures, or drawn ones.
        versions: Published versions of the task.
        incumbent: Folder of the newest of them.
        min_sensitivity: The sensitivity that the threshold has to reach on validation.
        limits: Known limits, for the card.

    Raises:
        InputError: ``min_sensitivity`` is not in (0, 1].
    """
    task, plan, counts = run.task, run.plan, run.counts()
    pooled = sum(counts.values(), start=EvaluationCounts.zero(len(task.classes)))
    chosen = choose_threshold(pooled, min_sensitivity=min_sensitivity, source="pooled hospital validation")
    best = next(record for record in run.state.records if record.round == run.state.best_round)
    parent = max(versions, key=int, default=None)
    return ReleaseRequest(
        version=next_version(parent),
        task=task,
        preprocessing=Preprocessing(id=plan.preprocessing, image_size=plan.image_size),
        threshold=shipped_threshold(chosen, split=VALIDATION),
        temperature=1.0,
        metrics=Metrics(
            split=VALIDATION,
            overall=pooled.metrics(task=task, threshold=chosen.value),
            sites={site: one.metrics(task=task, threshold=chosen.value) for site, one in counts.items()},
        ),
        lineage=Lineage(
            rounds=len(run.state.records),
            best_round=run.state.best_round,
            plan_digest=plan.digest(),
            teacher_sha256=plan.teacher_sha256,
            # The server knows hospitals by number; the digest keeps even that out of what units read.
            participants=tuple(sorted(_participant(plan, site) for site in best.accepted)),
            code_version=__version__,
            parent=parent,
            seed=plan.seed,
        ),
        golden_pixels=golden.pixels,
        must_refer=golden.must_refer,
        variant_pixels=golden.calibration,
        incumbent=incumbent,
        validation=tuple(
            validation_evidence(site, one, threshold=chosen.value, task=task) for site, one in counts.items()
        ),
        sites=tuple(_site(site, best.examples, one, task) for site, one in counts.items()),
        limits=(*limits, *golden.limits),
    )


def _participant(plan: Plan, site: int) -> str:
    return hashlib.sha256(f"{plan.digest()}\n{site}".encode()).hexdigest()


def _site(name: str, examples: dict[int, int], counts: EvaluationCounts, task: ScreeningTask) -> SiteData:
    train = examples.get(int(name.rpartition("-")[2]), 0)
    labels = dict(zip(task.classes, map(int, counts.confusion.sum(axis=1)), strict=True))
    return SiteData(name=name, train=train, validation=counts.n, labels=labels)
