"""The hospital's border log: one line per message in or out, each carrying the hash of the line before.

* A line says kind, direction, round, size, SHA-256 of the content and the plan; it never holds content.
* ``hash = sha256(previous hash + canonical JSON of the line without its hash)``; a changed, removed or swapped line
  breaks the chain at that place. Cutting off the newest lines cannot be seen from the file alone; a copy of the last
  hash, kept elsewhere, shows it.
* A reply is logged and on disk *before* it is handed over. A process killed half-way through a line leaves a fragment
  without its newline: that message never left, so ``verify`` passes over it and the next ``record`` cuts it off.
* One writer at a time, by a lock of the operating system on the log itself.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from eyebright_common.durable import sync_folder
from eyebright_common.errors import TrustError

FILE_NAME = "audit.jsonl"
GENESIS = "0" * 64
_TAIL_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """One message at the border.

    Attributes:
        kind: ``train``, ``evaluate`` or ``query``.
        direction: ``in`` or ``out``.
        round: Round of the run; 0 before the first and where the request could not be read.
        size_bytes: Size of the serialised content.
        sha256: Digest of the serialised content.
        plan: Digest of the plan; empty where none was named.
        outcome: ``ok``, or the refusal sent instead of an answer.
        at: UTC time, ISO 8601.
    """

    kind: str
    direction: str
    round: int
    size_bytes: int
    sha256: str
    plan: str
    outcome: str
    at: str


def record(site: Path, crossing: Crossing) -> str:
    """Append ``crossing`` to the site's log durably and return the line's hash.

    Raises:
        TrustError: the last line is not a line of this log.
    """
    with (site / FILE_NAME).open("a+b") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        sequence, previous = _end_of(log, site / FILE_NAME)
        body = {"sequence": sequence + 1, **asdict(crossing), "previous": previous}
        digest = _chain(body)
        log.write(_canonical({**body, "hash": digest}) + b"\n")
        log.flush()
        os.fsync(log.fileno())
    if sequence == 0:
        sync_folder(site)  # the log itself is new
    return digest


def verify(site: Path) -> int:
    """Return the number of lines in the site's log after checking every link.

    Raises:
        TrustError: naming the first line that does not hold.
    """
    path = site / FILE_NAME
    previous, count = GENESIS, 0
    with path.open("rb") as log:
        for line in log:
            if not line.endswith(b"\n"):
                break
            count += 1
            entry = _parse(line, path, count)
            claimed = entry.pop("hash")
            if entry.get("previous") != previous or entry["sequence"] != count or claimed != _chain(entry):
                raise _broken(path, count)
            previous = str(claimed)
    return count


def _end_of(log: BinaryIO, path: Path) -> tuple[int, str]:
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - _TAIL_BYTES))
    tail = log.read()
    whole = tail.rfind(b"\n") + 1
    log.truncate(size - len(tail) + whole)
    lines = tail[:whole].splitlines()
    if not lines:
        return 0, GENESIS
    entry = _parse(lines[-1], path, -1)
    return int(str(entry["sequence"])), str(entry["hash"])


def _parse(line: bytes, path: Path, number: int) -> dict[str, object]:
    try:
        entry = json.loads(line)
    except ValueError:
        raise _broken(path, number) from None
    if not isinstance(entry, dict) or not {"sequence", "hash"} <= entry.keys():
        raise _broken(path, number)
    return entry


def _broken(path: Path, number: int) -> TrustError:
    where = "its last line" if number < 0 else f"line {number}"
    return TrustError(f"the audit log does not hold at {where}", value=path, fix="Compare it with your backup.")


def _chain(body: dict[str, object]) -> str:
    return hashlib.sha256(str(body["previous"]).encode() + _canonical(body)).hexdigest()


def _canonical(value: dict[str, object]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
