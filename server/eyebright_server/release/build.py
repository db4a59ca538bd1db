"""From a candidate to a release folder: judged, described, whole, or not at all.

* The folder ``OUT/<version>`` appears in one rename after every file in it is on disk. A killed build leaves a hidden
  draft, which the next build of that version removes.
* A version is never rewritten. Building the very same release again is not an error (a resumed run does that); building
  another one under a used version is. "The same" leaves out what a clock measured.
* A student that fails the gate leaves ``OUT/<version>.blocked`` with ``gate.json`` and ``gate.html``, which is not a
  release and cannot be published as one, and an error that names the rules.
* A variant that lost more than its limit is not in the release; why stands in ``gate.json`` and on the card.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eyebright_common.durable import move_into_place, write_bytes
from eyebright_common.errors import ReleaseError
from eyebright_common.release import (
    CARD_FILE,
    GATE_FILE,
    GOLDEN_FILE,
    MODEL_FILE,
    MODEL_FILES,
    RELEASE_FILE,
    GateReport,
    Release,
    describe_artefact,
    read_gate,
    read_release,
)
from eyebright_common.release.evidence import SiteEvidence
from eyebright_common.release.gate_report import Override
from eyebright_common.release.schema import CHANGE_FILES, GATE_PAGE
from eyebright_common.tasks import get_task
from eyebright_server.release.candidate import CANDIDATE_FILE, Candidate, ReleaseRequest, make_candidate
from eyebright_server.release.card import render_card
from eyebright_server.release.change_documents import change_documents
from eyebright_server.release.gate import Findings, judge, withheld
from eyebright_server.release.gate_page import render_gate
from eyebright_server.release.policy import GatePolicy

if TYPE_CHECKING:
    from eyebright_learning.models import Student

# Given a candidate's folder and description: what sites find when they run it.
Measure = Callable[[Path, Release], Sequence[SiteEvidence]]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltRelease:
    """A release on disk.

    Attributes:
        folder: Where it is.
        release: What it says.
        gate: What the gate found.
    """

    folder: Path
    release: Release
    gate: GateReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """What a candidate is judged by, beside itself.

    Attributes:
        policy: What is allowed.
        evidence: What sites found.
        incumbent: Version of the release before.
        first: Version of the first release.
        looks: How often the test data were looked at.
        override: A person's word against some rules.
    """

    policy: GatePolicy
    evidence: Sequence[SiteEvidence] = ()
    incumbent: str | None = None
    first: str | None = None
    looks: int | None = None
    override: Override | None = None


def build_release(
    out: Path,
    student: Student,
    request: ReleaseRequest,
    *,
    policy: GatePolicy,
    measure: Measure | None = None,
    first: str | None = None,
    looks: int | None = None,
) -> BuiltRelease:
    """Export a student, gate it and write its release folder ``out/<version>``, in one go.

    Args:
        out: Folder of a task's releases; made if missing.
        student: The trained student.
        request: What the release says.
        policy: The gate's.
        measure: How sites measure the candidate; without it the validation counts of the request are the evidence.
        first: Version of the frozen first release.
        looks: How often the test data were looked at.

    Raises:
        ExportError: the graph breaks the release contract.
        ReleaseError: the gate blocks it, the request contradicts itself, or the version is taken by another release.
    """
    draft = out / f".{request.version}.draft"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        candidate = make_candidate(draft, student, request)
        evidence = tuple(measure(draft, candidate.release)) if measure else candidate.validation
        incumbent = read_release(request.incumbent).version if request.incumbent else None
        hearing = Hearing(policy=policy, evidence=evidence, incumbent=incumbent, first=first, looks=looks)
        gate = hear(candidate, hearing)
        if not gate.passed:
            write_verdict(out / f"{request.version}.blocked", candidate, gate)
        gate.require()
        return _finish(draft, out / request.version, candidate, gate, hearing)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def hear(candidate: Candidate, hearing: Hearing) -> GateReport:
    """Return the gate's report on a candidate.

    Raises:
        InputError: the override is not allowed.
    """
    release = candidate.release
    return judge(
        Findings(
            task=get_task(release.task),
            files=candidate.files,
            model_sha256=release.artefact(MODEL_FILE).sha256,
            threshold=release.threshold,
            evidence=hearing.evidence,
            incumbent=hearing.incumbent,
            first=hearing.first,
            looks=hearing.looks,
        ),
        hearing.policy,
        override=hearing.override,
    )


def write_verdict(folder: Path, candidate: Candidate, gate: GateReport) -> None:
    """Write ``gate.json`` and its page."""
    write_bytes(folder / GATE_FILE, gate.to_json())
    write_bytes(folder / GATE_PAGE, render_gate(candidate.release, gate).encode())


def release_of(folder: Path, out: Path, candidate: Candidate, gate: GateReport, hearing: Hearing) -> BuiltRelease:
    """Make the release ``out/<version>`` of the candidate in ``folder``, which stays as it is.

    Raises:
        ReleaseError: the gate blocks it, or the version is taken by another release.
    """
    gate.require()
    version = candidate.release.version
    draft = out / f".{version}.draft"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        for artefact in candidate.release.artefacts:
            shutil.copyfile(folder / artefact.name, draft / artefact.name)
        return _finish(draft, out / version, candidate, gate, hearing)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def open_release(folder: Path) -> BuiltRelease:
    """Return a release that was built before, verified.

    Raises:
        ReleaseError: there is none, or it is not one.
        TargetRejected: a file of it is not the one listed.
    """
    return BuiltRelease(folder=folder, release=read_release(folder), gate=read_gate(folder))


def _finish(draft: Path, folder: Path, candidate: Candidate, gate: GateReport, hearing: Hearing) -> BuiltRelease:
    """Write what a release has beside its candidate's files, ``release.json`` last, and put it in its place."""
    write_verdict(draft, candidate, gate)
    release = _shipping(draft, candidate.release, gate)
    (draft / CANDIDATE_FILE).unlink(missing_ok=True)
    task = get_task(release.task)
    for name, text in change_documents(release, gate, hearing.evidence, task=task).items():
        write_bytes(draft / name, text.encode())
    shipped = [artefact.name for artefact in release.artefacts]
    listed = [*shipped, GATE_FILE, GATE_PAGE, *CHANGE_FILES]
    release = release.model_copy(update={"artefacts": tuple(describe_artefact(draft / name) for name in listed)})
    card = render_card(
        release,
        task=task,
        gate=gate,
        sites=candidate.sites,
        limits=candidate.limits,
        evidence=hearing.evidence,
        made=tuple(variant.facts for variant in candidate.files.variants),
    )
    write_bytes(draft / CARD_FILE, card.encode())
    artefacts = (*release.artefacts, describe_artefact(draft / CARD_FILE))
    release = release.model_copy(update={"artefacts": artefacts})
    write_bytes(draft / RELEASE_FILE, release.to_json())
    read_release(draft)
    _take_place(draft, folder, release)
    return BuiltRelease(folder=folder, release=read_release(folder), gate=read_gate(folder))


def _shipping(draft: Path, release: Release, gate: GateReport) -> Release:
    """Leave out the variants that the gate withholds, their files too."""
    out = {variant.file for variant in release.variants if withheld(gate, variant.precision) is not None}
    for name in out:
        (draft / name).unlink()
    return release.model_copy(
        update={
            "variants": tuple(variant for variant in release.variants if variant.file not in out),
            "artefacts": tuple(artefact for artefact in release.artefacts if artefact.name not in out),
        }
    )


def _take_place(draft: Path, folder: Path, release: Release) -> None:
    if not folder.exists():
        move_into_place(draft, folder)
    elif _essence(read_release(folder)) != _essence(release):
        raise ReleaseError(
            "this version is already taken by another release",
            value=folder,
            fix="Use the next version; none is rewritten.",
        )


def _essence(release: Release) -> tuple[object, ...]:
    """What makes two releases the same: everything but documents, and the milliseconds that one of them measured."""
    kept = {*MODEL_FILES.values(), GOLDEN_FILE}
    files = {artefact.name: artefact.sha256 for artefact in release.artefacts if artefact.name in kept}
    timed = {"artefacts", "variants"}
    return files, release.model_dump_json(exclude=timed)
