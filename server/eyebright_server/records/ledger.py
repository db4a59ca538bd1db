"""The ledger: what happened, in order, each entry holding the hash of the one before.

* ``hash = SHA-256(canonical JSON of [seq, time, kind, payload, previous_hash])``; the first entry follows 64 zeros.
* Changing, removing, adding or reordering entries breaks the chain at a place that ``verify`` names. Cutting off the
  end does not: compare ``head`` with a copy kept elsewhere (a printed report will do).
* Entries are written in the same transaction as what they tell of: both happen, or neither.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from eyebright_common.errors import TrustError
from eyebright_server.records.models import LedgerRow

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One entry.

    Attributes:
        seq: 1 for the first, without gaps.
        time: ISO 8601, UTC.
        kind: What happened, e.g. ``release-published``.
        payload: The facts, as canonical JSON.
        previous_hash: Hash of the entry before.
        hash: Hash of this entry.
    """

    seq: int
    time: str
    kind: str
    payload: str
    previous_hash: str
    hash: str

    @property
    def facts(self) -> dict[str, Any]:
        """The payload, parsed."""
        parsed: dict[str, Any] = json.loads(self.payload)
        return parsed


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerHead:
    """Where a ledger ends: how many entries, and the hash of the last."""

    entries: int
    hash: str


def canonical(value: object) -> str:
    """Return JSON with one spelling for one value: sorted keys, no spaces, no NaN.

    Raises:
        ValueError: the value has a number that JSON does not know.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def entry_hash(*, seq: int, time: str, kind: str, payload: str, previous_hash: str) -> str:
    """Return the hash of an entry."""
    return hashlib.sha256(canonical([seq, time, kind, payload, previous_hash]).encode()).hexdigest()


def verify_chain(entries: Iterable[LedgerEntry]) -> LedgerHead:
    """Return where a chain of entries ends, having checked every link.

    Raises:
        TrustError: naming the first entry that does not hold.
    """
    head = LedgerHead(entries=0, hash=GENESIS)
    for entry in entries:
        expected = entry_hash(
            seq=entry.seq, time=entry.time, kind=entry.kind, payload=entry.payload, previous_hash=entry.previous_hash
        )
        if entry.seq != head.entries + 1:
            raise _broken(entry, f"entry {head.entries + 1} is missing before it")
        if entry.previous_hash != head.hash:
            raise _broken(entry, "it does not follow the entry before it")
        if entry.hash != expected:
            raise _broken(entry, "its content was changed")
        head = LedgerHead(entries=entry.seq, hash=entry.hash)
    return head


def append(session: Session, kind: str, payload: Mapping[str, object], *, now: datetime) -> LedgerEntry:
    """Add an entry within the caller's writing transaction, of which there is one at a time (``database``)."""
    last = session.scalars(select(LedgerRow).order_by(LedgerRow.seq.desc()).limit(1)).first()
    fields: dict[str, Any] = {
        "seq": last.seq + 1 if last else 1,
        "time": now.astimezone(UTC).isoformat(),
        "kind": kind,
        "payload": canonical(dict(payload)),
        "previous_hash": last.hash if last else GENESIS,
    }
    entry = LedgerEntry(**fields, hash=entry_hash(**fields))
    session.add(LedgerRow(**fields, hash=entry.hash))
    session.flush()
    return entry


def read(session: Session, *, after: int = 0, kind: str = "") -> list[LedgerEntry]:
    """Return the entries with a number above ``after`` whose kind begins with ``kind``, in order."""
    wanted = select(LedgerRow).where(LedgerRow.seq > after, LedgerRow.kind.startswith(kind, autoescape=True))
    rows = session.scalars(wanted.order_by(LedgerRow.seq))
    return [
        LedgerEntry(
            seq=row.seq,
            time=row.time,
            kind=row.kind,
            payload=row.payload,
            previous_hash=row.previous_hash,
            hash=row.hash,
        )
        for row in rows
    ]


def _broken(entry: LedgerEntry, why: str) -> TrustError:
    return TrustError(
        f"the ledger is broken at entry {entry.seq} ({entry.kind}, {entry.time}): {why}",
        fix="Restore the records from a copy and find out who changed them.",
    )
