"""Pooling what hospitals say about the global student, and choosing the best round.

* A hospital sends integer counts; counts of different hospitals add up, so the pooled metrics are those of all
  validation images together, not a mean of means.
* The best round has the highest pooled macro AUROC: it uses every score, moves less than a thresholded rate on few
  patients, and does not depend on an operating point that is chosen only later. Ties go to the higher balanced
  accuracy, then to the earlier round. A value that is undefined (a class without a case) counts as the lowest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eyebright_common import exchange
from eyebright_common.errors import EyebrightError, FederationError
from eyebright_common.tasks import ScreeningTask
from eyebright_learning.evaluation import EvaluationCounts
from eyebright_server.federation.records import Reply, RoundRecord, Setback


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """Metrics of one student.

    Attributes:
        metrics: On all hospitals' validation images together.
        site_metrics: On each hospital's.
        site_counts: The integer counts behind both, by hospital.
        set_aside: Evaluations whose counts could not be read.
    """

    metrics: dict[str, Any]
    site_metrics: dict[int, dict[str, Any]]
    site_counts: dict[int, dict[str, list[int]]]
    set_aside: tuple[Setback, ...]


def pool(replies: Sequence[Reply], *, task: ScreeningTask) -> Validation:
    """Return the metrics in the hospitals' counts.

    Raises:
        FederationError: no hospital sent counts that can be read.
    """
    by_site: dict[int, EvaluationCounts] = {}
    unreadable: list[Setback] = []
    for reply in replies:
        try:
            by_site[reply.site] = _counts(reply, task)
        except (EyebrightError, ValueError, KeyError, TypeError) as error:
            unreadable.append(Setback(site=reply.site, reason="bad_counts", detail=str(error)[:200]))
    if not by_site:
        raise FederationError(
            "no hospital could evaluate the student",
            value=", ".join(f"{s.site}: {s.reason}" for s in unreadable) or None,
            fix="Read the hospitals' own logs.",
        )
    counts = list(by_site.values())
    total = counts[0]
    for more in counts[1:]:
        total = total + more
    return Validation(
        metrics=total.metrics(task=task, threshold=None),
        site_metrics={site: one.metrics(task=task, threshold=None) for site, one in by_site.items()},
        site_counts={site: one.to_dict() for site, one in by_site.items()},
        set_aside=tuple(unreadable),
    )


def best_round(records: Sequence[RoundRecord]) -> int:
    """Return the number of the best of ``records`` by pooled validation."""
    return max(records, key=lambda r: (_rank(r, "macro_auroc"), _rank(r, "balanced_accuracy"), -r.round)).round


def _rank(record: RoundRecord, metric: str) -> float:
    value = record.metrics.get(metric)
    return -1.0 if value is None else float(value)


def _counts(reply: Reply, task: ScreeningTask) -> EvaluationCounts:
    prefix = exchange.COUNTS_PREFIX
    flat = {
        name.removeprefix(prefix): [int(n) for n in values]
        for name, values in reply.numbers.items()
        if name.startswith(prefix) and isinstance(values, list)
    }
    counts = EvaluationCounts.from_dict(flat, task=task)
    if counts.n != reply.numbers[exchange.NUM_EXAMPLES]:
        raise ValueError(f"counts of {counts.n} images, {reply.numbers[exchange.NUM_EXAMPLES]} were evaluated")
    return counts
