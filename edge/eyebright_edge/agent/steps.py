"""What the update machine does in each state.

* A step takes the record and returns it with what it learnt; a step that fails raises. Where that leads is decided by
  the table in ``transitions``, not here.
* Every step may be done twice, because power may go between its work and the next record.
* What is wrong with the release itself (``is_refusal``) is told apart from a full disk or a lost connection: a release
  that is no good here is not tried again at every poll.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from eyebright_common.digests import sha256_of
from eyebright_common.durable import move_into_place, sync_file, sync_folder
from eyebright_common.errors import EyebrightError, ReleaseError, WireError
from eyebright_common.imaging import PREPROCESSING_ID
from eyebright_common.release import RELEASE_FILE, GoldenReport, Release, prove, read_golden, read_release
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.receipt import Installed, Proof, Withheld, read_receipt, write_receipt
from eyebright_edge.agent.source import Offer, ReleaseSource
from eyebright_edge.agent.transitions import Outcome, State
from eyebright_edge.agent.unit_report import unit_facts
from eyebright_edge.agent.update_record import Ending, UpdateRecord
from eyebright_edge.runtime import Runtime

OpenRuntime = Callable[[Path], Runtime]
Clock = Callable[[], datetime]
Done = tuple[Outcome, UpdateRecord]


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """The work of each state, and what it needs.

    Attributes:
        home: The unit's home.
        task: What the unit screens for.
        source: The other side; None where there is none to be reached (a local rollback).
        open_runtime: Loads a release folder.
        clock: The present time, aware.
        retry: Whether releases that were withheld may be tried again.
    """

    home: UnitHome
    task: str
    source: ReleaseSource | None
    open_runtime: OpenRuntime
    clock: Clock
    retry: bool = False

    def work(self, state: State) -> Callable[[UpdateRecord], Done]:
        """Return the work of a state."""
        table: Mapping[State, Callable[[UpdateRecord], Done]] = {
            State.CHECK: self._check,
            State.FETCH: self._fetch,
            State.VERIFY: self._verify,
            State.PROVE: self._prove,
            State.STAGE: self._stage,
            State.ACTIVATE: self._activate,
            State.COMMIT: self._commit,
            State.ROLL_BACK: self._roll_back,
            State.DISCARD: self._discard,
            State.REPORT: self._report,
        }
        return table[state]

    def _check(self, record: UpdateRecord) -> Done:
        serving = self._serving_version()
        if serving is not None and self.home.active_version() is None:
            self.home.activate(serving)
        offer = self._source.newest(self.task)
        withheld = offer and read_receipt(self.home).withholds(offer.version)
        # Compared with what serves, not with what ought to: a release that the disk has spoilt is fetched again.
        if offer is None or (serving and int(offer.version) <= int(serving)) or (withheld and not self.retry):
            reason = f"release {withheld.version} is withheld: {withheld.reason}" if withheld else ""
            return Outcome.NOTHING_NEW, _learnt(record, ending=Ending.UP_TO_DATE, previous=serving, reason=reason)
        return Outcome.SUCCESS, _learnt(record, version=offer.version, sha256=offer.sha256, previous=serving)

    def _fetch(self, record: UpdateRecord) -> Done:
        version, sha256 = _required(record.version), _required(record.sha256)
        folder = self.home.downloads / version
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not folder.exists():
            self._source.fetch(Offer(task=self.task, version=version, sha256=sha256), folder)
        return Outcome.SUCCESS, record

    def _verify(self, record: UpdateRecord) -> Done:
        folder = self.home.downloads / _required(record.version)
        if sha256_of(folder / RELEASE_FILE) != record.sha256:
            raise EyebrightError("the fetched release is not the signed one", value=record.version, fix="Update again.")
        _check_suitable(read_release(folder), task=self.task, version=_required(record.version))
        return Outcome.SUCCESS, record

    def _prove(self, record: UpdateRecord) -> Done:
        proof = self._proof_of(self.home.downloads / _required(record.version))
        return Outcome.SUCCESS, _learnt(record, proof=proof)

    def _stage(self, record: UpdateRecord) -> Done:
        version = _required(record.version)
        arrived, staged = self.home.downloads / version, self.home.release_folder(version)
        if arrived.is_dir():
            _sync_files(arrived)
            self.home.releases.mkdir(exist_ok=True)
            shutil.rmtree(staged, ignore_errors=True)
            move_into_place(arrived, staged)
        read_release(staged)
        return Outcome.SUCCESS, record

    def _activate(self, record: UpdateRecord) -> Done:
        self.home.activate(_required(record.version))
        return Outcome.SUCCESS, record

    def _commit(self, record: UpdateRecord) -> Done:
        serving = self.home.serving()
        if serving.release.version != record.version:
            raise ReleaseError("the activated release does not serve", value=serving.notice, fix="Update again.")
        # Once more from where it will be used: what was proven in the downloads must also load from its final place.
        proof = self._proof_of(serving.folder)
        receipt = read_receipt(self.home)
        installed = Installed(
            version=serving.release.version,
            sha256=sha256_of(serving.folder / RELEASE_FILE),
            activated_at=self.clock(),
            proof=proof,
        )
        before = receipt.installed(record.previous)
        write_receipt(self.home, receipt.serving(installed, previous=before))
        self.home.keep_only(installed.version, record.previous)
        self.home.drop_downloads()
        return Outcome.SUCCESS, _learnt(record, ending=Ending.INSTALLED, proof=proof, reason="")

    def _roll_back(self, record: UpdateRecord) -> Done:
        target = self._usable(record.previous, bad=record.version)
        self.home.activate(target)
        receipt = read_receipt(self.home)
        if (receipt.active.version if receipt.active else None) != target:
            known = receipt.installed(target)
            again = known.model_copy(update={"activated_at": self.clock()}) if known else None
            write_receipt(self.home, receipt.serving(again, previous=None))
        return Outcome.SUCCESS, _learnt(record, ending=Ending.ROLLED_BACK)

    def _discard(self, record: UpdateRecord) -> Done:
        receipt = read_receipt(self.home)
        if record.refuse and record.version:
            refused = Withheld(version=record.version, reason=record.reason, at=self.clock())
            receipt = receipt.withholding(refused)
            write_receipt(self.home, receipt)
        kept = [one.version for one in (receipt.active, receipt.previous) if one]
        self.home.keep_only(self.home.active_version(), *kept)
        self.home.drop_downloads()
        return Outcome.SUCCESS, record

    def _report(self, record: UpdateRecord) -> Done:
        if self.source is not None:
            self.source.report(unit_facts(self.home, record, task=self.task))
        return Outcome.SUCCESS, record

    @property
    def _source(self) -> ReleaseSource:
        if self.source is None:
            raise WireError("no server was given to ask for releases", fix="Run `eyebright edge update`.")
        return self.source

    def _serving_version(self) -> str | None:
        try:
            return self.home.serving().release.version
        except EyebrightError:
            return None

    def _proof_of(self, folder: Path) -> Proof:
        release = read_release(folder)
        runtime = self.open_runtime(folder)
        report: GoldenReport = prove(runtime.run, read_golden(folder, release), release.threshold.value)
        report.require(runtime.name)
        return Proof.of(report, runtime.name)

    def _usable(self, version: str | None, *, bad: str | None) -> str | None:
        # The release asked for, else the newest kept one that is whole: a unit can always screen. Without a release
        # to go back to (the first one failed) none serves.
        if version is None:
            return None
        for candidate in (version, *(kept for kept in self.home.kept() if kept != bad)):
            try:
                read_release(self.home.release_folder(candidate))
            except EyebrightError:
                continue
            return candidate
        return None


def is_refusal(error: Exception) -> bool:
    """Whether an error says that the release itself is no good here, so that trying again would not help."""
    return isinstance(error, ReleaseError)


def _check_suitable(release: Release, *, task: str, version: str) -> None:
    if (release.task, release.version) != (task, version):
        raise ReleaseError(
            "the release is not what was offered", value=f"{release.task} {release.version}", fix="Tell the operator."
        )
    if release.preprocessing.id != PREPROCESSING_ID:
        raise ReleaseError(
            f"the release prepares pictures by {release.preprocessing.id!r}, this unit by {PREPROCESSING_ID!r}",
            fix="Update Eyebright on this unit, then run `eyebright edge update --retry`.",
        )


def _sync_files(folder: Path) -> None:
    for file in folder.iterdir():
        sync_file(file)
    sync_folder(folder)


def _learnt(record: UpdateRecord, **facts: object) -> UpdateRecord:
    return record.model_copy(update=facts)


def _required(value: str | None) -> str:
    assert value is not None, "the update record lacks what its state needs"
    return value
