"""Engines that builders send: checked while they arrive and once more before they are signed.

::

    OPERATOR/engines/arriving/BUILDER/  description.json, engine.part: the one engine that a builder is sending
    OPERATOR/engines/waiting/KEY/       description.json, engine.plan: whole and checked, to be signed or thrown away

* A builder speaks for itself: the name in the description is the one in its certificate.
* Nothing a builder sends becomes part of a path but its own name and digests, which have been checked.
* Refused at once, before a byte is kept: a release that is not published, another network, golden results that fail
  when they are counted again here, an engine that is too large or for which there is no room.
* An upload that was cut goes on where it was cut. One builder sends one engine at a time: the next takes its place.
* The description is moved in last, so that a folder with one is a whole engine. What waits was in the ledger before.
* Signing needs the students' keys, which are not on a serving machine. Until then no unit hears of the engine.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from eyebright_common.durable import move_into_place, sync_file, write_bytes
from eyebright_common.errors import InputError, LimitExceeded, ReleaseError, TargetRejected, TrustError
from eyebright_common.release.engines import (
    EngineUpload,
    check_engine_description,
    check_engine_upload,
    check_golden_results,
    engine_file_names,
    engine_key_of,
    parse_engine_upload,
)
from eyebright_common.trust import Role, checked_name, target_name
from eyebright_server.records import Records
from eyebright_server.release.published import read_published
from eyebright_server.release.repository import ReleaseRepository

WAITING_EACH = 8
LEAST_ROOM_BYTES = 1 << 30
_DESCRIPTION, _PART, _ENGINE = "description.json", "engine.part", "engine.plan"


class EngineState(StrEnum):
    """What becomes of an engine that is offered."""

    WANTED = "wanted"
    WAITING = "waiting"
    SIGNED = "signed"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownEngine:
    """An engine that is here.

    Attributes:
        upload: Its description.
        state: Whether it waits or is signed.
    """

    upload: EngineUpload
    state: EngineState


class EngineInbox:
    """The engines of one operator.

    Args:
        folder: ``OPERATOR/engines``.
        repository: In which the releases are published, and engines are signed.
        records: Ledger and participants.
        clock: The present time, UTC.
    """

    def __init__(
        self, folder: Path, repository: ReleaseRepository, records: Records, *, clock: Callable[[], datetime]
    ) -> None:
        self._arriving, self._waiting = folder / "arriving", folder / "waiting"
        self._repository = repository
        self._records = records
        self._clock = clock

    def offer(self, builder: str, description: bytes) -> tuple[EngineState, int]:
        """Return what becomes of an engine, and from which byte on it is to be sent.

        Args:
            builder: Who offers it, by its certificate.
            description: The engine's, as it was sent.

        Raises:
            TrustError: it is another builder's.
            ReleaseError: it fits no published release, or fails the golden cases.
            LimitExceeded: this builder has too many waiting, or there is no room.
        """
        upload = parse_engine_upload(description)
        if upload.builder != builder:
            raise TrustError("an engine is another builder's", value=f"{upload.builder}, sent by {builder}")
        self._check(upload)
        if (state := self._state_of(upload)) is not EngineState.WANTED:
            return state, upload.size_bytes
        self._require_room(upload)
        place = self._arriving / checked_name(builder)
        if (place / _DESCRIPTION).is_file() and (place / _DESCRIPTION).read_bytes() == description:
            here = _size(place / _PART)
            if here < upload.size_bytes:
                return EngineState.WANTED, here
            # Whole already: the power went before it was put down. What is not the engine is sent anew.
            with suppress(TargetRejected):
                return self.finish(upload), here
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        write_bytes(place / _DESCRIPTION, description)
        return EngineState.WANTED, 0

    def arriving(self, builder: str, sha256: str) -> EngineUpload:
        """Return the description of the engine that a builder is sending.

        Raises:
            InputError: it has not offered that one.
        """
        described = self._arriving / checked_name(builder) / _DESCRIPTION
        upload = parse_engine_upload(described.read_bytes()) if described.is_file() else None
        if upload is None or upload.sha256 != sha256:
            raise InputError("this engine has not been offered", value=builder, fix="Offer it first.")
        return upload

    def append(self, upload: EngineUpload, offset: int, data: bytes) -> int:
        """Keep the next piece of an engine; return how much of it is here.

        Raises:
            InputError: it does not follow what is here.
            LimitExceeded: it is longer than was described.
        """
        part = self._arriving / upload.builder / _PART
        if offset != _size(part):
            raise InputError("a piece of an engine arrived out of order", value=offset, fix="Offer it again.")
        if offset + len(data) > upload.size_bytes:
            self._forget(upload)
            raise LimitExceeded("an engine is longer than it was described", value=upload.size_bytes)
        with part.open("ab") as file:
            file.write(data)
        return offset + len(data)

    def finish(self, upload: EngineUpload) -> EngineState:
        """Check an engine that has arrived, and let it wait for its signature.

        Raises:
            TargetRejected: it is not the one described; it is thrown away.
            ReleaseError: it fits no published release any more.
        """
        place, part = self._arriving / upload.builder, self._arriving / upload.builder / _PART
        if _size(part) < upload.size_bytes:
            raise InputError("an engine ended early", value=_size(part), fix="Offer it again.")
        try:
            self._check(upload, part)
        except (ReleaseError, TargetRejected):
            self._forget(upload)
            raise
        waiting = self._waiting / upload.key.digest
        sync_file(part)
        self._records.append("engine-received", _facts(upload), now=self._clock())
        waiting.mkdir(parents=True, exist_ok=True)
        move_into_place(part, waiting / _ENGINE)
        move_into_place(place / _DESCRIPTION, waiting / _DESCRIPTION)
        return EngineState.WAITING

    def known(self) -> list[KnownEngine]:
        """Return the engines that wait, then those that are signed, by release."""
        found = [KnownEngine(upload=upload, state=EngineState.WAITING) for upload in self._all_waiting()]
        for name in self._repository.targets():
            if name.endswith(".json") and engine_key_of(name.rpartition("/")[2]):
                upload = parse_engine_upload(self._repository.target_file(name).read_bytes())
                found.append(KnownEngine(upload=upload, state=EngineState.SIGNED))
        return sorted(found, key=lambda one: (one.upload.task, int(one.upload.version), one.state != "waiting"))

    def sign(self, key: str, *, by: str) -> EngineUpload:
        """Sign an engine that waits, after checking it and its builder once more; return its description.

        Args:
            key: The beginning of its key's digest.
            by: Who says so.

        Raises:
            InputError: no engine, or more than one, waits under that key.
            TrustError: its builder was shut out, or the offline keys are not here.
            ReleaseError: it fits no published release any more.
        """
        upload = _one(key, self._all_waiting(), "waits")
        admitted = {row.name for row in self._records.participants(role=Role.BUILDER) if row.revoked is None}
        if upload.builder not in admitted:
            fix = "Throw the engine away: eyebright server release engine withdraw DIR KEY"
            raise TrustError("the engine's builder was shut out", value=upload.builder, fix=fix)
        place = self._waiting / upload.key.digest
        self._check(upload, place / _ENGINE)
        plan, described = _targets(upload)
        self._repository.add_targets({plan: place / _ENGINE, described: place / _DESCRIPTION})
        self._records.append("engine-signed", {**_facts(upload), "by": by}, now=self._clock())
        shutil.rmtree(place)
        return upload

    def withdraw(self, key: str, *, by: str, reason: str) -> EngineUpload:
        """Throw away an engine that waits, or offer one no longer that was signed; return its description.

        Raises:
            InputError: there is no such engine.
            TrustError: it is signed, and the offline keys are not here.
        """
        known = {one.upload.key.digest: one for one in self.known()}
        upload = _one(key, [one.upload for one in known.values()], "is here")
        if known[upload.key.digest].state is EngineState.SIGNED:
            self._repository.remove_targets(_targets(upload))
        shutil.rmtree(self._waiting / upload.key.digest, ignore_errors=True)
        self._records.append("engine-withdrawn", {**_facts(upload), "by": by, "reason": reason}, now=self._clock())
        return upload

    def _check(self, upload: EngineUpload, engine: Path | None = None) -> None:
        release, golden = read_published(self._repository, upload.task, upload.version)
        if engine is None:
            check_engine_description(upload, release)
        else:
            check_engine_upload(upload, engine, release)
        check_golden_results(upload, golden, release)

    def _state_of(self, upload: EngineUpload) -> EngineState:
        if _targets(upload)[0] in self._repository.targets():
            return EngineState.SIGNED
        waiting = self._waiting / upload.key.digest / _DESCRIPTION
        return EngineState.WAITING if waiting.is_file() else EngineState.WANTED

    def _require_room(self, upload: EngineUpload) -> None:
        if sum(one.builder == upload.builder for one in self._all_waiting()) >= WAITING_EACH:
            raise LimitExceeded("too many engines of one builder wait to be signed", value=upload.builder)
        self._arriving.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(self._arriving).free < upload.size_bytes + LEAST_ROOM_BYTES:
            raise LimitExceeded("there is no room for an engine", value=upload.size_bytes, fix="Free some space.")

    def _all_waiting(self) -> list[EngineUpload]:
        return [parse_engine_upload(path.read_bytes()) for path in sorted(self._waiting.glob(f"*/{_DESCRIPTION}"))]

    def _forget(self, upload: EngineUpload) -> None:
        shutil.rmtree(self._arriving / upload.builder, ignore_errors=True)


def _targets(upload: EngineUpload) -> tuple[str, str]:
    plan, described = engine_file_names(upload.key.digest)
    return target_name(upload.task, upload.version, plan), target_name(upload.task, upload.version, described)


def _one(key: str, uploads: list[EngineUpload], what: str) -> EngineUpload:
    found = [one for one in uploads if key and one.key.digest.startswith(key)]
    if len(found) != 1:
        words = "no engine" if not found else f"{len(found)} engines"
        fix = "See: eyebright server release engine list DIR"
        raise InputError(f"{words} of this key {what}", value=key, fix=fix)
    return found[0]


def _facts(upload: EngineUpload) -> dict[str, object]:
    machine = upload.key.fingerprint
    return {
        "task": upload.task,
        "version": upload.version,
        "key": upload.key.digest,
        "sha256": upload.sha256,
        "size_bytes": upload.size_bytes,
        "builder": upload.builder,
        "board": machine.board,
        "gpu": machine.gpu,
        "tensorrt": machine.tensorrt,
        "precision": upload.key.precision,
    }


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0
