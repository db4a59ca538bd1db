"""Counting while a round runs: who, how much, and what was set aside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from eyebright_server.federation.averaging import examples_of
from eyebright_server.federation.gate import losses_of
from eyebright_server.federation.records import UNIDENTIFIED, Opposed, Reply, RoundRecord, Setback
from eyebright_server.federation.validation import Validation


@dataclass(slots=True, kw_only=True)
class Tally:
    """What one round has seen so far.

    Attributes:
        participants: Hospitals that were asked to train.
        quarantined: Replies set aside.
        refused: Hospitals that declined the plan.
        bytes_up: Bytes received.
        bytes_down: Bytes sent.
        attempts: How often the hospitals were asked to train.
        late: Hospitals whose answer to an earlier question came now.
        suspended: Hospitals that were not asked.
        bytes_saved: Bytes that shortening took off the accepted updates.
        beats_own: What hospitals say of the student against their own.
        epsilon: Privacy spent; None without noise.
        opposed: Hospitals whose update points against the others'.
    """

    participants: list[int] = field(default_factory=list)
    quarantined: list[Setback] = field(default_factory=list)
    refused: list[Setback] = field(default_factory=list)
    bytes_up: int = 0
    bytes_down: int = 0
    attempts: int = 1
    late: list[int] = field(default_factory=list)
    suspended: tuple[int, ...] = ()
    bytes_saved: int = 0
    beats_own: dict[int, str] = field(default_factory=dict)
    epsilon: float | None = None
    opposed: tuple[Opposed, ...] = ()

    def try_again(self) -> None:
        """Begin another attempt: who was set aside in the last one may answer again."""
        self.attempts += 1
        self.participants.clear()
        self.quarantined.clear()
        self.refused.clear()

    def met(self, sites: Iterable[int]) -> None:
        """Note that hospitals were asked to train, each once."""
        self.participants.extend(site for site in sites if site == UNIDENTIFIED or site not in self.participants)

    def note(self, setback: Setback) -> None:
        """Note that a hospital did not count."""
        (self.refused if setback.reason == "plan_refused" else self.quarantined).append(setback)

    def weighed(self, replies: Iterator[Reply]) -> Iterator[Reply]:
        """Yield the replies as they come, counting their bytes."""
        for reply in replies:
            self.bytes_up += reply.bytes_up
            self.bytes_down += reply.bytes_down
            yield reply

    def set_aside_sites(self) -> set[int]:
        """Return the hospitals that already have a setback in this round."""
        return {setback.site for setback in (*self.quarantined, *self.refused) if setback.site != UNIDENTIFIED}

    def reasons(self) -> str:
        """Return every setback in one line, in the order of the hospitals."""
        setbacks = sorted((*self.quarantined, *self.refused), key=lambda s: s.site)
        return "; ".join(f"hospital {s.site}: {s.reason} {s.detail}".strip() for s in setbacks)

    def record(
        self,
        number: int,
        updates: Sequence[Reply],
        validation: Validation,
        evaluated: tuple[int, ...],
        digest: str,
        seconds: float,
    ) -> RoundRecord:
        """Return the finished round.

        Args:
            number: The round.
            updates: Accepted replies, in the order of the hospitals.
            validation: Metrics of the averaged student.
            evaluated: Hospitals in those metrics.
            digest: Of the averaged student.
            seconds: Wall time.
        """
        examples = {reply.site: examples_of(reply) for reply in updates}
        site_losses = {reply.site: losses_of(reply.numbers) for reply in updates}
        return RoundRecord(
            round=number,
            participants=tuple(sorted(self.participants)),
            attempts=self.attempts,
            late=tuple(sorted(self.late)),
            suspended=self.suspended,
            bytes_saved=self.bytes_saved,
            beats_own=dict(sorted(self.beats_own.items())),
            epsilon=self.epsilon,
            opposed=self.opposed,
            accepted=tuple(examples),
            quarantined=tuple(sorted(self.quarantined, key=lambda s: s.site)),
            refused=tuple(sorted(s.site for s in self.refused)),
            evaluated=evaluated,
            examples=examples,
            losses=_mean_losses(examples, site_losses),
            site_losses=site_losses,
            metrics=validation.metrics,
            site_metrics=validation.site_metrics,
            bytes_up=self.bytes_up,
            bytes_down=self.bytes_down,
            seconds=seconds,
            weights_sha256=digest,
        )


def _mean_losses(examples: dict[int, int], losses: dict[int, dict[str, float]]) -> dict[str, float]:
    """Mean of each term over the hospitals that report it, weighted by their training images."""
    means = {}
    for term in sorted({term for terms in losses.values() for term in terms}):
        sites = [site for site, terms in losses.items() if term in terms]
        means[term] = sum(losses[s][term] * examples[s] for s in sites) / sum(examples[s] for s in sites)
    return means
