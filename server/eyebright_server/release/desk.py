"""The operator's desk: what ``eyebright server release`` does, one method for each command.

::

    OPERATOR/candidates/<task>/<version>/   what was built; evidence.json and gate.json once it was judged
    OPERATOR/releases/<task>/<version>/     what passed, and published releases checked out to compare with

Every verdict is written into the ledger after it was reached, and every override with name and reason; a look at test
data before it is taken (``looks``).
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from eyebright_common.closing import Closing
from eyebright_common.durable import move_into_place
from eyebright_common.errors import InputError, ReleaseError
from eyebright_common.release import GATE_FILE, MODEL_FILE, GateReport, Release, next_version, read_gate, read_release
from eyebright_common.release.gate_report import Override
from eyebright_common.release.rollout import Ring, Rollout
from eyebright_common.trust import AvailableRelease, target_name
from eyebright_server.distribution import OperatorFolder
from eyebright_server.fleet import Fleet
from eyebright_server.release.build import Hearing, hear, release_of, write_verdict
from eyebright_server.release.candidate import CANDIDATE_FILE, Candidate, make_candidate, read_candidate
from eyebright_server.release.looks import Looks
from eyebright_server.release.measuring import Progress
from eyebright_server.release.policy import gate_policy
from eyebright_server.release.published import checkout, release_again
from eyebright_server.release.site_evidence import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A published release; ``new`` is False when it was published before, ``rollout`` the one it is in."""

    release: AvailableRelease
    new: bool
    rollout: Rollout | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One line of the list."""

    task: str
    version: str
    state: str
    gate: str
    rollout: str


class ReleaseDesk(Closing):
    """Everything an operator does with releases.

    Args:
        operator: The operator's folder, opened.
    """

    def __init__(self, operator: OperatorFolder) -> None:
        self.operator = operator
        self.fleet = Fleet(operator.repository, operator.records, clock=operator.clock)
        self.looks = Looks(operator.records, clock=operator.clock)
        self._releases = operator.folder / "releases"
        self._candidates = operator.folder / "candidates"

    def close(self) -> None:
        """Close the operator's folder."""
        self.operator.close()

    def build(
        self, run: str, *, golden: Path | None, min_sensitivity: float, limits: Sequence[str], workers: int
    ) -> tuple[Path, Candidate]:
        """Make a candidate of a run's best student; return its folder and what is in it.

        Raises:
            EyebrightError: there is no such run, or its student cannot be exported.
        """
        # Here, because everything else is done without torch.
        from eyebright_server.federation.run_folder import runs_folder
        from eyebright_server.release.golden_pictures import drawn_pictures, golden_from_data
        from eyebright_server.release.run_source import read_run, request_of, student_of

        named = runs_folder(self.operator.folder) / run
        source = read_run(named if named.is_dir() else Path(run))
        size, task = source.plan.image_size, source.task
        pictures = (
            golden_from_data(golden, task=task, image_size=size, workers=workers)
            if golden
            else drawn_pictures(image_size=size)
        )
        known = self._published(task.name)
        incumbent = self._checked_out(known[-1]) if known else None
        request = request_of(
            source,
            pictures,
            versions=[release.version for release in known],
            incumbent=incumbent,
            min_sensitivity=min_sensitivity,
            limits=limits,
        )
        folder = self._candidates / task.name / request.version
        draft = folder.with_name(f".{request.version}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        try:
            candidate = make_candidate(draft, student_of(source), request)
            shutil.rmtree(folder, ignore_errors=True)  # a candidate may be built again; a release may not
            move_into_place(draft, folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return folder, candidate

    def gate(
        self,
        task: str,
        version: str | None,
        *,
        data: Sequence[Path],
        unit_data: Sequence[Path],
        counts: Sequence[Path],
        profile: str,
        override: tuple[str, str, tuple[str, ...]] | None,
        audit: bool,
        workers: int,
        on_progress: Progress | None,
    ) -> tuple[GateReport, Path]:
        """Judge a candidate; return the report, and the folder of the release or of the candidate that stays one.

        Without any data the evidence of the last time is judged again, which is no new look; where there is none, the
        validation counts of the rounds are.

        Raises:
            EyebrightError: there is no candidate, the data cannot be used, or the override is not allowed.
        """
        folder = self._candidate(task, version)
        candidate = read_candidate(folder)
        self._not_published(candidate.release)
        policy = gate_policy(profile)
        word = self._override(override) if override else None
        if word:
            policy.check_override(word.rules)
        older = self._older(task, candidate.release)
        evidence = self.looks.gather(
            folder,
            candidate,
            older,
            data=data,
            unit_data=unit_data,
            counts=counts,
            audit=audit,
            workers=workers,
            on_progress=on_progress,
        )
        hearing = Hearing(
            policy=policy,
            evidence=evidence,
            incumbent=read_release(older["incumbent"]).version if "incumbent" in older else None,
            first=read_release(older["first"]).version if "first" in older else None,
            looks=self.looks.count(evidence),
            override=word,
        )
        report = hear(candidate, hearing)
        write_verdict(folder, candidate, report)
        place = folder
        # What an earlier verdict made of it is nobody's yet: the newest verdict counts.
        shutil.rmtree(self._releases / task / candidate.release.version, ignore_errors=True)
        if report.passed:
            place = release_of(folder, self._releases / task, candidate, report, hearing).folder
        self._record(candidate.release, report)
        return report, place

    def publish(self, release: str, *, rings: tuple[Ring, ...] | None, by: str) -> Published:
        """Sign and publish a release that passed the gate.

        Args:
            release: A folder, or ``TASK/VERSION`` of one on this desk.
            rings: Of a staged rollout; None is for every unit at once.
            by: Who publishes.

        Raises:
            ReleaseError: it did not pass, or another rollout of its task has not ended.
            TrustError: the offline keys are not here.
        """
        folder = self._releases / release if (self._releases / release).is_dir() else Path(release)
        found = read_release(folder)
        report = read_gate(folder)
        found.artefact(GATE_FILE)  # listed, so that it is the one that was written with the release
        report.require()
        known = self._published(found.task)
        new = found.version not in {one.version for one in known}
        state = self.fleet.current(found.task)
        if new and rings is None and state is not None and state.rollout.state != "done":
            raise ReleaseError(
                "a rollout of this task has not ended",
                value=f"release {state.rollout.version}",
                fix="Promote it to its end, or roll back.",
            )
        rollout = None
        if rings is not None:
            # Before the release: from the moment units see it they know for whom it is.
            before = max((one.version for one in known if one.version != found.version), key=int, default=None)
            rollout = self.fleet.start(found.task, version=found.version, before=before, rings=rings, by=by).rollout
        elif state is not None and new:
            # Units follow the last rollout; without rings this one is for everybody.
            before = max((one.version for one in known), key=int, default=None)
            self.fleet.everybody(found.task, version=found.version, before=before, by=by)
        elif state is not None and state.rollout.version == found.version and state.rollout.state != "done":
            rollout = state.rollout  # published before, and for whom stays as it is
        published = self.operator.repository.publish(folder, task=found.task, version=found.version)
        if new:
            facts = {
                "task": published.task,
                "version": published.version,
                "sha256": published.sha256,
                "by": by,
                "policy": report.policy.model_dump(),
            }
            self.operator.records.append("release-published", facts, now=self.operator.clock())
        return Published(release=published, new=new, rollout=rollout)

    def roll_back(self, task: str, *, to: str | None, by: str, reason: str) -> tuple[AvailableRelease, str]:
        """Publish an older release again, for every unit; return what is published and the version it was.

        Raises:
            InputError: there is no such release.
            TrustError: the offline keys are not here.
        """
        known = {release.version: release for release in self._published(task)}
        versions = sorted(known, key=int)
        if len(versions) < 2:
            found = f"{task}, published: {', '.join(versions) or 'nothing'}"
            fix = "A rollout that has not ended can be paused; a unit that has an older one: eyebright edge rollback"
            raise InputError("there is no such older release", value=found, fix=fix)
        wanted = to or versions[-2]
        if wanted not in known or wanted == versions[-1]:
            raise InputError(
                "there is no such older release",
                value=wanted,
                fix=f"Published: {', '.join(versions)}; choose one below the newest.",
            )
        version = next_version(versions[-1])
        folder = self._releases / task / version
        if not folder.exists():  # a rollback that was interrupted goes on with what it made
            old = self._checked_out(known[wanted])
            release_again(old, self._releases / task, version=version, parent=versions[-1])
        # The rollout first: units outside the open rings follow it as soon as the release is there.
        self.fleet.roll_back(task, to=wanted, version=version, before=versions[-1], by=by, reason=reason)
        published = self.operator.repository.publish(folder, task=task, version=version)
        facts = {"task": task, "version": version, "again": wanted, "sha256": published.sha256, "by": by}
        self.operator.records.append("release-published", facts | {"reason": reason}, now=self.operator.clock())
        return published, wanted

    def listing(self) -> list[Listed]:
        """Return every candidate, release and published version, by task and version."""
        published = {(one.task, one.version) for one in self.operator.repository.releases()}
        places = {
            (path.parent.parent.name, path.parent.name): path.parent
            for path in (*self._candidates.glob(f"*/*/{CANDIDATE_FILE}"), *self._releases.glob("*/*/release.json"))
            if not path.parent.name.startswith(".")
        }
        rows = []
        for task, version in sorted({*published, *places}, key=lambda key: (key[0], int(key[1]))):
            place = places.get((task, version))
            released = place is not None and place.is_relative_to(self._releases)
            state = "published" if (task, version) in published else "release" if released else "candidate"
            rows.append(
                Listed(
                    task=task,
                    version=version,
                    state=state,
                    gate=_gate_words(self._gate_file(task, version) if state == "published" else place),
                    rollout=self._rollout_words(task, version),
                )
            )
        return rows

    def _record(self, release: Release, report: GateReport) -> None:
        facts: dict[str, object] = {
            "task": release.task,
            "version": release.version,
            "model_sha256": release.artefact(MODEL_FILE).sha256,
            "policy": report.policy.model_dump(),
            "blocking": [rule.title for rule in report.blocking],
        }
        if report.override is not None:
            facts["override"] = report.override.model_dump(mode="json")
        word = "gate-passed" if report.passed else "gate-blocked"
        kind = "gate-overridden" if report.passed and report.override is not None else word
        self.operator.records.append(kind, facts, now=self.operator.clock())

    def _not_published(self, release: Release) -> None:
        if release.version in {one.version for one in self._published(release.task)}:
            raise ReleaseError(
                "this version is published and not judged again",
                value=f"{release.task} {release.version}",
                fix="Build the next: eyebright server release build",
            )

    def _override(self, given: tuple[str, str, tuple[str, ...]]) -> Override:
        operator, reason, rules = given
        try:
            return Override(operator=operator, reason=reason, rules=rules, time=self.operator.clock().isoformat())
        except ValidationError as error:
            raise InputError(
                "an override needs a full name and a reason that can be read later",
                value=f"{operator}: {reason}",
                fix="Give --operator NAME and --reason of at least ten characters.",
            ) from error

    def _older(self, task: str, release: Release) -> dict[Role, Path]:
        known = [one for one in self._published(task) if int(one.version) < int(release.version)]
        if not known:
            return {}
        # The newest in use, and the frozen first one, which may be the same.
        return {"incumbent": self._checked_out(known[-1]), "first": self._checked_out(known[0])}

    def _published(self, task: str) -> list[AvailableRelease]:
        return [release for release in self.operator.repository.releases() if release.task == task]

    def _checked_out(self, release: AvailableRelease) -> Path:
        return checkout(self.operator.repository.folder, release, self._releases)

    def _candidate(self, task: str, version: str | None) -> Path:
        place = self._candidates / task
        found = sorted((path.parent.name for path in place.glob(f"*/{CANDIDATE_FILE}")), key=_number)
        chosen = version or (found[-1] if found else None)
        if chosen is None or chosen not in found:
            fix = "Build one: eyebright server release build"
            raise InputError("there is no such candidate", value=f"{task} {chosen or ''}".strip(), fix=fix)
        return place / chosen

    def _gate_file(self, task: str, version: str) -> Path | None:
        """Return the gate report that was published with a release, wherever the release came from."""
        name = target_name(task, version, GATE_FILE)
        repository = self.operator.repository
        return repository.target_file(name) if name in repository.targets() else None

    def _rollout_words(self, task: str, version: str) -> str:
        state = self.fleet.current(task)
        if state is None or state.rollout.version != version:
            return ""
        rollout = state.rollout
        ring = rollout.rings[rollout.opened].name
        return "every unit" if rollout.state == "done" else f"{rollout.state}, ring {ring}"


def _gate_words(place: Path | None) -> str:
    if place is None or (place.is_dir() and not (place / GATE_FILE).is_file()):
        return "not judged"
    report = read_gate(place)
    word = "passed" if report.passed else "blocked"
    return f"{word}{', overridden' if report.override else ''} ({report.policy.profile})"


def _number(version: str) -> int:
    return int(version) if version.isdecimal() else 0
