"""What the update machine does in each state.

* A step takes the record and returns it with what it learnt; a step that fails raises. Where that leads is decided by
  the table in ``transitions``, not here.
* Every step may be done twice, because power may go between its work and the next record.
* What is wrong with the release itself (``is_refusal``) is told apart from a full disk or a lost connection: a release
  that is no good here is not tried again at every poll.
* A receipt vouches for a release before the release may serve, so that a start between two steps always finds one.
* Of a release only what this machine needs is fetched. When it needs another network one day (other hardware, other
  settings), that one is fetched, proven and added to the release that serves, file by file: it is never without any.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from eyebright_common.digests import sha256_of
from eyebright_common.durable import move_into_place
from eyebright_common.errors import EyebrightError, ReleaseError, WireError
from eyebright_common.release import RELEASE_FILE, Precision, Release, read_release, variant_files, verify_artefact
from eyebright_common.release.rollout import Use
from eyebright_edge.agent.arriving import add_files, check_suitable, require_room, sync_files
from eyebright_edge.agent.home import Serving, UnitHome
from eyebright_edge.agent.kept import KeptReleases
from eyebright_edge.agent.news import note_news
from eyebright_edge.agent.receipt import Installed, Proof, Receipt, Withheld, verified_receipt, write_receipt
from eyebright_edge.agent.rehearsal import Job, OnProgress
from eyebright_edge.agent.settings import Budget, Trial
from eyebright_edge.agent.source import Offer, ReleaseSource
from eyebright_edge.agent.transitions import Outcome, State
from eyebright_edge.agent.trial import TrialReport, last_visit_number, shadow_report, trial_report, visit_is_open
from eyebright_edge.agent.twin_engines import take_twin_engine
from eyebright_edge.agent.unit_report import unit_facts
from eyebright_edge.agent.update_record import Ending, UpdateRecord
from eyebright_edge.agent.workshop import ChildKilled, Limits, OverBudget, Workshop

Clock = Callable[[], datetime]
Done = tuple[Outcome, UpdateRecord]


class TrialFailed(ReleaseError):
    """A release did not do well while it was tried on this unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """The work of each state, and what it needs.

    Attributes:
        home: The unit's home.
        task: What the unit screens for.
        source: The other side; None where there is none to be reached (a local rollback).
        workshop: Where releases are prepared and proven.
        clock: The trusted time, aware.
        machine_clock: The machine's own clock, by which visits are stamped.
        trial: How long a release is tried.
        budget: What it may cost here.
        on_progress: Told how far a long work has come.
        needs: Which networks of a release this machine computes with.
        retry: Whether releases that were withheld may be tried again.
    """

    home: UnitHome
    task: str
    source: ReleaseSource | None
    workshop: Workshop
    clock: Clock
    machine_clock: Clock
    trial: Trial
    budget: Budget
    on_progress: OnProgress
    needs: Callable[[Release], frozenset[Precision]]
    retry: bool = False

    def work(self, state: State) -> Callable[[UpdateRecord], Done]:
        """Return the work of a state."""
        table: Mapping[State, Callable[[UpdateRecord], Done]] = {
            State.CHECK: self._check,
            State.FETCH: self._fetch,
            State.VERIFY: self._verify,
            State.PREPARE: self._prepare,
            State.PROVE: self._prove,
            State.STAGE: self._stage,
            State.TRY: self._try,
            State.COMMIT: self._commit,
            State.ROLL_BACK: self._roll_back,
            State.DISCARD: self._discard,
            State.REPORT: self._report,
        }
        return table[state]

    def _check(self, record: UpdateRecord) -> Done:
        serving = self.kept.serving()
        version = serving.release.version if serving else None
        if version is not None and self.home.active_version() is None:
            self.home.activate(version)
        offer = self._source.offered(self.task, active=version)
        if (news := self._source.news()) is not None:
            note_news(self.home, news, now=self.machine_clock())
        receipt = verified_receipt(self.home) or Receipt()
        withheld = offer and receipt.withholds(offer.version)
        known = offer is None or (_is_known(offer, serving, receipt) and not self._lacks_network(offer, serving))
        if offer is None or known or (withheld and not self.retry):
            reason = f"release {withheld.version} is withheld: {withheld.reason}" if withheld else ""
            return Outcome.NOTHING_NEW, _learnt(record, ending=Ending.UP_TO_DATE, previous=version, reason=reason)
        wanted = {"version": offer.version, "sha256": offer.sha256, "use": offer.use, "previous": version}
        require_room(self.home, offer)
        return Outcome.SUCCESS, _learnt(record, **wanted)

    def _fetch(self, record: UpdateRecord) -> Done:
        version, sha256 = _required(record.version), _required(record.sha256)
        if not self._is_kept(version, sha256, complete=True):
            folder = self.home.downloads / version
            folder.parent.mkdir(parents=True, exist_ok=True)
            if not folder.exists():
                offer = Offer(task=self.task, version=version, sha256=sha256)
                kept = self.home.release_folder(version)
                self._source.fetch(offer, folder, leave_out=self._unneeded_files, at_hand=kept)
        return Outcome.SUCCESS, record

    def _verify(self, record: UpdateRecord) -> Done:
        folder = self._arrived(record)
        if sha256_of(folder / RELEASE_FILE) != record.sha256:
            raise EyebrightError("the fetched release is not the signed one", value=record.version, fix="Update again.")
        check_suitable(self._read(folder), task=self.task, version=_required(record.version))
        return Outcome.SUCCESS, record

    def _prepare(self, record: UpdateRecord) -> Done:
        limits = Limits(memory_mb=self.budget.prepare_memory_mb, time_s=60 * self.budget.prepare_minutes)
        folder = self._whole(record)
        if self.source is not None:
            take_twin_engine(self.source, self.home, folder, self.on_progress)
        self.workshop.work(Job.PREPARE, folder, limits, self.on_progress)
        return Outcome.SUCCESS, record

    def _prove(self, record: UpdateRecord) -> Done:
        return Outcome.SUCCESS, _learnt(record, proof=self._proof_of(self._whole(record)))

    def _stage(self, record: UpdateRecord) -> Done:
        version = _required(record.version)
        arrived, staged = self.home.downloads / version, self.home.release_folder(version)
        if arrived.is_dir():
            sync_files(arrived)
            self.home.releases.mkdir(exist_ok=True)
            if self._is_kept(version, _required(record.sha256), complete=False):
                add_files(arrived, staged)  # it may be serving
            else:
                shutil.rmtree(staged, ignore_errors=True)
                move_into_place(arrived, staged)
        self._read(staged)
        write_receipt(self.home, self.kept.receipt(self.clock()).trying(self._installed(version, record)))
        return Outcome.SUCCESS, record

    def _try(self, record: UpdateRecord) -> Done:
        if record.use is Use.SHADOW:
            return self._try_unseen(record)
        version = _required(record.version)
        if self.home.active_version() != version:
            with self.home.undisturbed() as free:
                if not free or visit_is_open(self.home, now=self.machine_clock()):
                    why = f"a visit is open; release {version} serves after it"
                    return Outcome.NOT_YET, _learnt(record, waiting=why)
                self.home.activate(version)
        record = self._with_trial_begun(record)
        serving = self.kept.require_serving(version)
        committed = self.kept.receipt(self.clock()).active
        # The first release has nothing to be taken back to, and one that is only repaired was tried before.
        if record.previous not in (None, version) and (committed is None or committed.version != version):
            report = trial_report(self.home, record, self.trial, now=self.clock())
            if (waiting := _judged(report, version)) is not None:
                return Outcome.NOT_YET, _learnt(record, waiting=waiting)
        # Once more from where it is used: what was proven in the downloads must also hold in its final place.
        return Outcome.SUCCESS, _learnt(record, proof=self._proof_of(serving.folder))

    def _try_unseen(self, record: UpdateRecord) -> Done:
        record = self._with_trial_begun(record)
        report = shadow_report(self.home, record, self.trial, now=self.clock())
        if (waiting := _judged(report, _required(record.version))) is not None:
            return Outcome.NOT_YET, _learnt(record, waiting=waiting)
        return Outcome.SUCCESS, record

    def _commit(self, record: UpdateRecord) -> Done:
        version = _required(record.version)
        receipt = self.kept.receipt(self.clock())
        installed = self._installed(version, record)
        if record.use is Use.SHADOW:
            receipt = receipt.shadowed(installed)
            ending = Ending.SHADOWED
        else:
            self.kept.require_serving(version)
            repaired = record.previous == version
            before = (
                _other_than(version, receipt)
                if repaired
                else self.kept.known(record.previous, receipt, now=self.clock())
            )
            receipt = receipt.serving(installed, previous=before)
            ending = Ending.INSTALLED
        write_receipt(self.home, receipt)
        self.kept.keep_only(receipt)
        self.home.drop_downloads()
        return Outcome.SUCCESS, _learnt(record, ending=ending, reason="")

    def _roll_back(self, record: UpdateRecord) -> Done:
        receipt = self.kept.receipt(self.clock())
        if record.use is Use.SHADOW:
            write_receipt(self.home, receipt.trying(None))
            return Outcome.SUCCESS, record
        target = self.kept.usable(record.previous, bad=record.version)
        if target == (receipt.active.version if receipt.active else None):
            receipt = receipt.trying(None)
        else:
            known = self.kept.known(target, receipt, now=self.clock())
            again = known.model_copy(update={"activated_at": self.clock()}) if known else None
            receipt = receipt.serving(again, previous=None)
        self.home.activate(target)
        write_receipt(self.home, receipt)
        return Outcome.SUCCESS, _learnt(record, ending=Ending.ROLLED_BACK)

    def _discard(self, record: UpdateRecord) -> Done:
        receipt = self.kept.receipt(self.clock()).trying(None)
        if record.refuse and record.version:
            receipt = receipt.withholding(Withheld(version=record.version, reason=record.reason, at=self.clock()))
        if receipt != verified_receipt(self.home):
            write_receipt(self.home, receipt)
        self.kept.keep_only(receipt)
        self.home.drop_downloads()
        return Outcome.SUCCESS, record

    def _report(self, record: UpdateRecord) -> Done:
        if self.source is not None:
            self.source.report(unit_facts(self.home, record, task=self.task, today=self.machine_clock().date()))
        return Outcome.SUCCESS, record

    @property
    def kept(self) -> KeptReleases:
        """What this unit keeps."""
        return KeptReleases(self.home)

    @property
    def _source(self) -> ReleaseSource:
        if self.source is None:
            raise WireError("no server was given to ask for releases", fix="Run `eyebright edge update`.")
        return self.source

    def _arrived(self, record: UpdateRecord) -> Path:
        version = _required(record.version)
        arrived = self.home.downloads / version
        return arrived if arrived.is_dir() else self.home.release_folder(version)

    def _whole(self, record: UpdateRecord) -> Path:
        """Return where the release lies after making sure that it is still there: a lost file condemns no release."""
        folder = self._arrived(record)
        try:
            self._read(folder)
            if sha256_of(folder / RELEASE_FILE) == record.sha256:
                return folder
        except (EyebrightError, OSError) as error:
            found = f"{record.version} ({error})"
        else:
            found = f"{record.version} (another {RELEASE_FILE})"
        raise EyebrightError("the fetched release is no longer whole", value=found, fix="Update again.")

    def _read(self, folder: Path) -> Release:
        """Return a release after verifying it, and that every network this machine needs is there."""
        release = read_release(folder, networks=())
        for file in sorted(self._needed_files(release)):
            verify_artefact(folder, release.artefact(file))
        return release

    def _needed_files(self, release: Release) -> frozenset[str]:
        return variant_files(release) - self._unneeded_files(release)

    def _unneeded_files(self, release: Release) -> frozenset[str]:
        return variant_files(release, without=self.needs(release))

    def _lacks_network(self, offer: Offer, serving: Serving | None) -> bool:
        """Whether the release that serves is the one offered, and a network that this machine needs is not there."""
        if serving is None or offer.use is Use.SHADOW or serving.release.version != offer.version:
            return False
        return any(not (serving.folder / file).exists() for file in self._needed_files(serving.release))

    def _is_kept(self, version: str, sha256: str, *, complete: bool) -> bool:
        folder = self.home.release_folder(version)
        try:
            self._read(folder) if complete else read_release(folder, networks=())
            return sha256_of(folder / RELEASE_FILE) == sha256
        except (EyebrightError, OSError):
            return False

    def _proof_of(self, folder: Path) -> Proof:
        budget = self.budget
        limits = Limits(memory_mb=budget.memory_mb, time_s=60 * budget.prove_minutes)
        done = self.workshop.work(Job.PROVE, folder, limits, self.on_progress)
        assert done.report is not None, "a proof runs the golden cases"
        done.report.require(done.runtime)
        for what, found, allowed, unit in (
            ("is too slow on this unit", done.latency_p95_ms, budget.latency_p95_ms, "ms a picture"),
            ("needs more memory than it may have here", done.peak_memory_mb, budget.memory_mb, "MB"),
        ):
            if found > allowed:
                fix = "The release before it goes on serving; tell the operator."
                raise OverBudget(f"the release {what}", value=f"{found:.0f} {unit}, allowed {allowed:.0f}", fix=fix)
        return Proof.of(
            done.report, done.runtime, latency_p95_ms=done.latency_p95_ms, peak_memory_mb=done.peak_memory_mb
        )

    def _with_trial_begun(self, record: UpdateRecord) -> UpdateRecord:
        now, began = self.clock(), record.trial_began_at
        if began is not None and began <= now:
            return record
        # Begun now, or the clock was set back during the trial: then its minutes are counted anew.
        after = last_visit_number(self.home) if began is None else record.trial_after_visit
        return _learnt(record, trial_began_at=now, trial_after_visit=after)

    def _installed(self, version: str, record: UpdateRecord) -> Installed:
        return Installed(
            version=version,
            sha256=sha256_of(self.home.release_folder(version) / RELEASE_FILE),
            activated_at=record.trial_began_at or self.clock(),
            proof=record.proof,
        )


def is_refusal(error: Exception) -> bool:
    """Whether an error says that the release itself is no good here, so that trying again would not help."""
    return isinstance(error, ReleaseError)


def may_pass(error: Exception) -> bool:
    """Whether what failed may go well a moment later: a lost connection, a child that somebody killed."""
    return isinstance(error, (WireError, ChildKilled))


def _is_known(offer: Offer, serving: Serving | None, receipt: Receipt) -> bool:
    """Whether the unit has what is offered: compared with what serves, not with what ought to."""
    if offer.use is Use.SHADOW and receipt.shadow is not None and receipt.shadow.version == offer.version:
        return True
    if serving is None:
        return False
    offered, serves = int(offer.version), int(serving.release.version)
    # A release that serves without a proof (its receipt was lost) is proven again.
    installed = receipt.installed(serving.release.version)
    return offered < serves or (offered == serves and installed is not None and installed.proof is not None)


def _judged(report: TrialReport, version: str) -> str | None:
    """Return what a trial waits for, None when it is over."""
    if report.failed:
        raise TrialFailed(f"release {version} failed its trial", value=report.failed, fix="Tell the operator.")
    return None if report.over else f"release {version} is on trial: {report.words}"


def _other_than(version: str, receipt: Receipt) -> Installed | None:
    return next((one for one in (receipt.active, receipt.previous) if one and one.version != version), None)


def _learnt(record: UpdateRecord, **facts: object) -> UpdateRecord:
    return record.model_copy(update=facts)


def _required(value: str | None) -> str:
    assert value is not None, "the update record lacks what its state needs"
    return value
