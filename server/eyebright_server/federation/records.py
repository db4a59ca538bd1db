"""What is known about a round, a reply and a run.

* Hospitals are numbers here. The server knows their names from enrolment; a reply never carries one.
* A hospital that could not be identified has the number ``UNIDENTIFIED``.
* ``refused`` and ``quarantined`` are different facts: the first is a hospital's right, the second a reply that must not
  be averaged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
UNIDENTIFIED = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One hospital's answer, or the fact that there is none.

    Attributes:
        site: The hospital's number.
        arrays: Arrays by name; empty for evaluations and queries.
        numbers: Counts and losses by name.
        echo: The plan digest and the round that the hospital says it answered.
        error_code: Code of a refusal or transport error; None for an answer.
        error: Sentence of that error.
        bytes_up: Serialised size of the answer.
        bytes_down: Serialised size of the request.
        nonce: What the question carried and the answer must repeat; empty where the transport gave none.
    """

    site: int
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    numbers: Mapping[str, int | float | list[int] | list[float]] = field(default_factory=dict)
    echo: Mapping[str, Any] = field(default_factory=dict)
    error_code: int | None = None
    error: str = ""
    bytes_up: int = 0
    bytes_down: int = 0
    nonce: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setback:
    """A hospital that did not count in a round.

    Attributes:
        site: The hospital's number.
        reason: A stable snake_case word.
        detail: The value that failed, for the operator.
    """

    site: int
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opposed:
    """A hospital whose update points against the others'; see ``direction``.

    Attributes:
        site: The hospital's number.
        cosine: The median of its cosines with the others.
        others: How far these agree among themselves, the same way.
    """

    site: int
    cosine: float
    others: float

    @property
    def sentence(self) -> str:
        """The figures, in words."""
        return f"its update points against the others' (cosine {self.cosine:.2f}; theirs {self.others:.2f})"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundRecord:
    """One finished round.

    Attributes:
        round: Its number, from 1.
        participants: Hospitals that were asked, in order.
        accepted: Hospitals whose student was averaged.
        quarantined: Replies that were set aside, with the reason.
        refused: Hospitals that declined the plan.
        evaluated: Hospitals whose validation counts are in ``metrics``.
        examples: Training images of each accepted hospital.
        losses: Mean of each loss term, weighted by training images.
        site_losses: The same, for each accepted hospital.
        metrics: Metrics of the averaged student on all hospitals' validation images together.
        site_metrics: The same for each hospital.
        bytes_up: Bytes the hospitals sent.
        bytes_down: Bytes the server sent.
        seconds: Wall time of the round.
        weights_sha256: Digest of the averaged student.
        attempts: How often the hospitals were asked until there was a quorum.
        late: Hospitals whose answer to an earlier question came in this round, and was discarded.
        suspended: Hospitals that were not asked, after repeated offences.
        bytes_saved: Bytes that shortening took off the accepted updates.
        beats_own: ``yes``, ``no`` or ``unknown`` of each hospital that says whether the student beats its own.
        epsilon: Privacy spent up to and with this round; None without noise.
        opposed: Hospitals whose update points against the others'; a suspicion, averaged all the same.
    """

    round: int
    participants: tuple[int, ...]
    accepted: tuple[int, ...]
    quarantined: tuple[Setback, ...]
    refused: tuple[int, ...]
    evaluated: tuple[int, ...]
    examples: dict[int, int]
    losses: dict[str, float]
    site_losses: dict[int, dict[str, float]]
    metrics: dict[str, Any]
    site_metrics: dict[int, dict[str, Any]]
    bytes_up: int
    bytes_down: int
    seconds: float
    weights_sha256: str
    attempts: int = 1
    late: tuple[int, ...] = ()
    suspended: tuple[int, ...] = ()
    bytes_saved: int = 0
    beats_own: dict[int, str] = field(default_factory=dict)
    epsilon: float | None = None
    opposed: tuple[Opposed, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FederationResult:
    """A finished run.

    Attributes:
        rounds: Every round, those before a resume included.
        best_round: Number of the round chosen on validation.
        weights: Float arrays of the student after ``best_round``, its last layer divided by ``temperature``.
        counts: Validation counts of that student by hospital, see ``EvaluationCounts.from_dict``.
        final_weights: The same after the last round.
        resumed_after: The round after which this process took over; 0 when it ran all of them.
        ended: Why there were no more rounds: ``all_rounds``, ``no_improvement``, ``round_budget`` or
            ``privacy_budget``.
        temperature: What the hospitals' answers say the logits are to be divided by; 1 where they were not asked.
    """

    rounds: tuple[RoundRecord, ...]
    best_round: int
    weights: Arrays
    counts: dict[int, dict[str, list[int]]]
    final_weights: Arrays
    resumed_after: int
    ended: str = "all_rounds"
    temperature: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FederationEvent:
    """Something a progress display may show.

    Attributes:
        kind: ``resumed``, ``round_started``, ``trained``, ``set_aside``, ``refused``, ``late``, ``suspended``,
            ``repeated``, ``opposed``, ``aggregated``, ``evaluated``, ``round_finished``, ``tempered`` or
            ``calibrated``.
        round: Round it belongs to.
        rounds: Rounds in the run.
        site: The hospital it is about, if it is about one.
        record: The round's record, with ``round_finished``.
        detail: For people; may be empty.
    """

    kind: str
    round: int
    rounds: int
    site: int | None = None
    record: RoundRecord | None = None
    detail: str = ""
