"""One question to the hospitals, and the replies that may count.

* Each reply passes the gate alone, is written to disk, is entered in the ledger, and is accepted: in this order.
* Who already has a verdict in this attempt, from this process or one that was killed, is not asked again.
* A shortened update is made whole before the gate looks at it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from eyebright_common import exchange
from eyebright_common.errors import InputError
from eyebright_common.exchange import Refusal
from eyebright_common.plan import Plan
from eyebright_common.shortened import lengthened
from eyebright_server.federation.checkpoint import weights_digest
from eyebright_server.federation.cohort import Lengths, far_too_long, lengths_of, overstated, own_lengths
from eyebright_server.federation.gate import set_aside_update
from eyebright_server.federation.journal import RoundSoFar, RunJournal
from eyebright_server.federation.records import UNIDENTIFIED, Arrays, Reply, Setback
from eyebright_server.federation.reply_store import ReplyStore
from eyebright_server.federation.tally import Tally


class Hospitals(Protocol):
    """All hospitals of a run, reached over some transport."""

    def __len__(self) -> int:
        """Number of hospitals."""

    def ask(
        self,
        kind: str,
        *,
        plan: Plan,
        round_number: int,
        arrays: Arrays | None,
        skip: Collection[int] = frozenset(),
    ) -> Iterator[Reply]:
        """Ask every hospital but those in ``skip`` and yield one reply each, as they arrive.

        The last ones may say that none came.
        """

    def late(self) -> list[Setback]:
        """Return, once, the answers to earlier questions that came since the last call, and were discarded."""


Tell = Callable[[str, int, Setback | int], None]


@dataclass(slots=True, kw_only=True)
class Collecting:
    """Asks for students or statistics until every hospital has a verdict.

    Attributes:
        plan: What is asked.
        hospitals: Whom.
        journal: Where verdicts are written.
        store: Where replies are.
        tell: Told ``trained`` with a hospital, or ``set_aside`` with a setback.
        rows: Training and validation images each hospital declared.
    """

    plan: Plan
    hospitals: Hospitals
    journal: RunJournal
    store: ReplyStore
    tell: Tell
    rows: dict[int, tuple[int, int]] = field(default_factory=dict)
    _lengths: dict[tuple[str, int, int], Lengths] = field(default_factory=dict)

    def lengths(self, number: int, accepted: Mapping[int, Reply], sent: Arrays) -> dict[int, Lengths]:
        """Return how long each accepted update of a round is; measured when it came, or again after a restart."""
        known = {site: self._lengths.get(("train", number, site)) for site in accepted}
        return {site: known[site] or lengths_of(reply.arrays, sent) for site, reply in accepted.items()}

    def meet(self, number: int, tally: Tally) -> None:
        """Ask hospitals for their numbers of rows until every one of them has answered once; who has is not asked."""
        if len(self.rows) == len(self.hospitals):
            return
        asked = self.hospitals.ask("query", plan=self.plan, round_number=number, arrays=None, skip=frozenset(self.rows))
        for reply in tally.weighed(asked):
            rows = [reply.numbers.get(key) for key in (exchange.TRAIN_ROWS, exchange.VALIDATION_ROWS)]
            if reply.site != UNIDENTIFIED and isinstance(rows[0], int) and isinstance(rows[1], int):
                self.rows[reply.site] = (rows[0], rows[1])

    def gather(
        self, kind: str, number: int, sent: Arrays, expected: Arrays, tally: Tally, so_far: RoundSoFar
    ) -> dict[int, Reply]:
        """Return the accepted replies by hospital, their arrays on disk.

        Args:
            kind: ``train`` or ``statistics``.
            number: The round.
            sent: The student every hospital is given.
            expected: What a reply must look like; for ``train`` the same as ``sent``.
            tally: Of the round.
            so_far: What the ledger knows of it; brought up to date.
        """
        accepted = self.restored(kind, number, so_far)
        list(tally.weighed(iter(accepted.values())))
        earlier = so_far.set_aside.setdefault(kind, [])
        for known in earlier:
            tally.note(known)
        answered = {*accepted, *(known.site for known in earlier)}
        tally.met(sorted(answered))
        liars, seen = self._liars(), self.journal.accepted_digests()
        asked = self.hospitals.ask(
            kind, plan=self.plan, round_number=number, arrays=sent, skip=answered.union(tally.suspended)
        )
        longest = own_lengths(expected)
        for reply in tally.weighed(asked):
            tally.met([reply.site])
            whole, setback = self._judged(reply, number, expected, liars)
            if setback is None:
                lengths = lengths_of(whole.arrays, expected)
                self._lengths[(kind, number, reply.site)] = lengths
                setback = far_too_long(reply.site, lengths, longest)
            if setback is None and reply.site in accepted:
                setback = Setback(site=reply.site, reason="replayed", detail="a second answer in one round")
            content = weights_digest(dict(whole.arrays)) if setback is None else ""
            if setback is None and kind == "train" and seen.get(content, number) < number:
                setback = Setback(site=reply.site, reason="replayed", detail=f"the answer of round {seen[content]}")
            if setback is not None:
                self.put_aside(kind, number, setback, tally, so_far)
                continue
            accepted[reply.site] = self._accept(kind, number, whole, content, so_far)
            tally.bytes_saved += max(0, _size(whole.arrays) - _size(reply.arrays))
            self.tell("trained" if kind == "train" else "measured", number, reply.site)
        return accepted

    def restored(self, kind: str, number: int, so_far: RoundSoFar) -> dict[int, Reply]:
        """Return the replies that the ledger calls accepted and whose files are what it says."""
        found = {}
        for (question, site), sha256 in sorted(so_far.accepted.items()):
            reply = self.store.read(site, sha256, kind=kind, round_number=number) if question == kind else None
            if reply is not None:
                found[site] = reply
        return found

    def put_aside(self, kind: str, number: int, setback: Setback, tally: Tally, so_far: RoundSoFar) -> None:
        """Write down that a hospital did not count."""
        so_far.set_aside.setdefault(kind, []).append(setback)
        tally.note(setback)
        suspends = self.journal.set_aside(kind, number, so_far.attempt, setback)
        self.tell("set_aside", number, setback)
        if suspends:
            self.tell("suspended", number, setback.site)

    def _judged(
        self, reply: Reply, number: int, expected: Arrays, liars: Collection[int]
    ) -> tuple[Reply, Setback | None]:
        setback = no_answer(reply)
        if setback is None and reply.site != UNIDENTIFIED and reply.site not in self.rows:
            setback = Setback(site=reply.site, reason="not_introduced", detail="it did not say how many images it has")
        if setback is None and reply.site in liars:
            setback = Setback(
                site=reply.site, reason="implausible_count", detail=f"{self.rows[reply.site][0]} images declared"
            )
        if setback is not None:
            return reply, setback
        try:
            arrays = lengthened(dict(reply.arrays), expected, self.plan.compression)
        except InputError as error:
            return reply, Setback(site=reply.site, reason=error.what, detail=str(error.value))
        whole = replace(reply, arrays=arrays)
        return whole, set_aside_update(
            whole,
            sent=expected,
            plan_digest=self.plan.digest(),
            round_number=number,
            declared_rows=self.rows.get(reply.site, (0, 0))[0],
        )

    def _accept(self, kind: str, number: int, reply: Reply, content: str, so_far: RoundSoFar) -> Reply:
        sha256 = self.store.keep(reply, kind=kind, round_number=number)
        self.journal.note(
            "reply-accepted",
            question=kind,
            round=number,
            attempt=so_far.attempt,
            hospital=reply.site,
            sha256=sha256,
            content=content,
            examples=reply.numbers[exchange.NUM_EXAMPLES],
        )
        so_far.accepted[(kind, reply.site)] = sha256
        return self.store.lazily(reply.site, kind=kind, round_number=number)

    def _liars(self) -> frozenset[int]:
        return overstated({site: rows for site, (rows, _) in self.rows.items()})


def no_answer(reply: Reply) -> Setback | None:
    """Return a setback for a reply that is a refusal or says that none came."""
    if reply.error_code is None:
        return None
    known = {int(code): code.name.lower() for code in Refusal}
    return Setback(site=reply.site, reason=known.get(reply.error_code, "no_answer"), detail=reply.error[:200])


def _size(arrays: object) -> int:
    assert isinstance(arrays, dict), "a reply that has just come is in memory"
    return sum(int(array.nbytes) for array in arrays.values())
