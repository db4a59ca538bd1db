"""The rounds of one run in the ledger: what is written before it counts, and what a resumed run reads.

::

    run-opened            plan, initial weights, hospitals
    round-opened          round, attempt, digest of the weights that are sent
    reply-accepted        question, hospital, digest of its file, examples          the file is on disk already
    reply-set-aside       question, hospital, reason
    reply-late            hospital, the round it was for
    round-below-quorum    round, attempt, accepted, needed
    round-aggregated      round, the replies in the average, digest of the student, whose update opposes the others'
    round-measured        round, the hospitals whose batch statistics are pooled
    round-closed          round, digest of the student                              the checkpoint is on disk already
    run-calibrated        round, temperature, questions, hospitals, digest of the student that is shipped
    run-ended             rounds, why
    hospital-suspended, hospital-lifted                                             see ``records.standing``

* A reply counts when its entry is there, and its entry is written only after its file. Killed before the entry, the
  hospital is asked again; killed after it, the file is read again. Neither loses a reply nor counts one twice.
* ``round-aggregated`` fixes which replies are in a round's student. A run killed after it computes the same student
  from the same files; before it, more replies may still come.
* The ledger names hospitals by number and holds no array, loss or count of a picture's class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from eyebright_server.federation.records import UNIDENTIFIED, Setback
from eyebright_server.records import LedgerEntry, Records, ledger, standing

OFFENCES = frozenset(
    {
        "wrong_site",
        "wrong_plan",
        "wrong_round",
        "replayed",
        "wrong_keys",
        "wrong_shape",
        "wrong_dtype",
        "not_finite",
        "negative_variance",
        "implausible_count",
        "outlying_norm",
        "bad_counts",
    }
)


@dataclass(slots=True, kw_only=True)
class RoundSoFar:
    """What the ledger knows of a round that is not closed.

    Attributes:
        attempt: The attempt in progress, from 1.
        accepted: Digest of the accepted reply by question and hospital.
        set_aside: Hospitals with a bad reply in this attempt, by question.
        aggregated: The hospitals in the average and the student's digest, once that is decided.
        measured: The hospitals in the re-estimated statistics, once that is decided.
    """

    attempt: int = 1
    accepted: dict[tuple[str, int], str] = field(default_factory=dict)
    set_aside: dict[str, list[Setback]] = field(default_factory=dict)
    aggregated: tuple[tuple[int, ...], str] | None = None
    measured: tuple[int, ...] | None = None


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True, kw_only=True)
class RunJournal:
    """The ledger, as far as one run is concerned.

    Attributes:
        records: Where the ledger is.
        run: What tells this run from others: its plan, initial weights and hospitals, and the folder it is in.
        offences: As in ``RoundRules``.
        clock: The present time.
    """

    records: Records
    run: str
    offences: int = 3
    clock: Callable[[], datetime] = _now
    _read: list[LedgerEntry] = field(default_factory=list)
    _head: int = 0

    def note(self, kind: str, **facts: Any) -> None:
        """Write an entry."""
        self.records.append(kind, {"run": self.run, **facts}, now=self.clock())

    def set_aside(self, kind: str, number: int, attempt: int, setback: Setback) -> bool:
        """Write that a hospital did not count; return whether this suspends it."""
        facts = {
            "run": self.run,
            "question": kind,
            "round": number,
            "attempt": attempt,
            "hospital": setback.site,
            "reason": setback.reason,
            "detail": setback.detail,
        }
        now = self.clock()
        with self.records.writing() as session:
            ledger.append(session, "reply-set-aside", facts, now=now)
            if setback.reason not in OFFENCES or setback.site == UNIDENTIFIED:
                return False
            return standing.offend(session, setback.site, limit=self.offences, reason=setback.reason, now=now)

    def opened(self, **facts: Any) -> None:
        """Write that the run began, once."""
        if not any(entry.kind == "run-opened" for entry in self._entries()):
            self.note("run-opened", **facts)

    def closed_rounds(self) -> set[int]:
        """Return the rounds the ledger says are over."""
        return {int(entry.facts["round"]) for entry in self._entries() if entry.kind == "round-closed"}

    def round_so_far(self, number: int) -> RoundSoFar:
        """Return what the ledger knows of a round."""
        found = RoundSoFar()
        for entry in self._entries():
            if entry.facts.get("round") == number:
                _read_into(found, entry)
        return found

    def accepted_digests(self) -> dict[str, int]:
        """Return the content digest of every accepted reply of this run, and its round."""
        entries = (entry.facts for entry in self._entries() if entry.kind == "reply-accepted")
        return {str(facts["content"]): int(facts["round"]) for facts in entries if facts["question"] == "train"}

    def _entries(self) -> list[LedgerEntry]:
        """Return this run's entries; only what is new since the last call is read."""
        marker = f'"run":"{self.run}"'  # cheap before the payload is parsed
        new = self.records.ledger(after=self._head)
        self._head = new[-1].seq if new else self._head
        self._read.extend(entry for entry in new if marker in entry.payload)
        return self._read


def _read_into(found: RoundSoFar, entry: LedgerEntry) -> None:
    facts = entry.facts
    if entry.kind == "reply-accepted":
        found.accepted[(facts["question"], facts["hospital"])] = facts["sha256"]
    elif entry.kind == "reply-set-aside" and facts["attempt"] == found.attempt:
        setback = Setback(site=facts["hospital"], reason=facts["reason"], detail=facts["detail"])
        found.set_aside.setdefault(facts["question"], []).append(setback)
    elif entry.kind == "round-below-quorum":
        found.attempt = facts["attempt"] + 1
        found.set_aside.clear()
    elif entry.kind == "round-aggregated":
        found.aggregated = (tuple(facts["hospitals"]), facts["weights_sha256"])
    elif entry.kind == "round-measured":
        found.measured = tuple(facts["hospitals"])
