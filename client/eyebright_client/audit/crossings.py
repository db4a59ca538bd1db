"""What crossed the border, read from the log and added up: for people, in words and bytes.

The log is checked link by link first: a sum over a log that does not hold says nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from eyebright_client.audit.journal import FILE_NAME, GENESIS, verify

# What the content of a message is, by its kind and direction; the code behind it is in ``app.flower``.
_CONTENT = {
    ("query", "in"): "asked whether we take part",
    ("query", "out"): "said whether we take part and how many pictures we have",
    ("train", "in"): "sent the student and the plan to train it by",
    ("train", "out"): "sent back the trained student, the number of pictures and the mean losses",
    ("evaluate", "in"): "sent the student to be evaluated",
    ("evaluate", "out"): "sent back counts of right and wrong answers",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLine:
    """One message at the border.

    Attributes:
        sequence: Line of the log, from 1.
        at: UTC time, ISO 8601.
        kind: ``train``, ``evaluate`` or ``query``.
        direction: ``in`` or ``out``.
        round: Round of the run.
        size_bytes: Size of the content.
        sha256: Digest of the content.
        plan: Digest of the plan.
        outcome: ``ok``, or the refusal.
    """

    sequence: int
    at: str
    kind: str
    direction: str
    round: int
    size_bytes: int
    sha256: str
    plan: str
    outcome: str

    @property
    def sentence(self) -> str:
        """What this message was, in words."""
        who = "the server" if self.direction == "in" else "we"
        if self.outcome != "ok":
            return f"{who} refused: {self.outcome.replace('_', ' ')}"
        return f"{who} {_CONTENT.get((self.kind, self.direction), self.kind)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSummary:
    """The whole log.

    Attributes:
        lines: Every message, oldest first.
        head: Hash of the last line; keep a copy elsewhere.
    """

    lines: tuple[AuditLine, ...]
    head: str

    def bytes_by(self, direction: str) -> int:
        """Return the bytes that came ``in`` or went ``out``."""
        return sum(line.size_bytes for line in self.lines if line.direction == direction)

    def counts(self, direction: str) -> dict[str, tuple[int, int]]:
        """Return number of messages and bytes by sentence, for one direction."""
        number: Counter[str] = Counter()
        size: Counter[str] = Counter()
        for line in self.lines:
            if line.direction == direction:
                number[line.sentence] += 1
                size[line.sentence] += line.size_bytes
        return {sentence: (number[sentence], size[sentence]) for sentence in sorted(number)}


def read_audit(site: Path) -> AuditSummary:
    """Return what the site's log holds, after checking it; an absent log is an empty one.

    Raises:
        TrustError: naming the first line that does not hold.
    """
    path = site / FILE_NAME
    if not path.exists():
        return AuditSummary(lines=(), head=GENESIS)
    whole = verify(site)
    lines, head = [], GENESIS
    with path.open("rb") as log:
        for _, line in zip(range(whole), log, strict=False):
            entry = json.loads(line)
            head = str(entry["hash"])
            lines.append(AuditLine(**{name: entry[name] for name in AuditLine.__slots__}))
    return AuditSummary(lines=tuple(lines), head=head)
