"""Hospitals without Flower or torch: 'training' is arithmetic on a few numbers, and faults come on demand."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from eyebright_common import exchange
from eyebright_common.exchange import is_running_statistic
from eyebright_common.plan import Plan
from eyebright_common.tasks import get_task
from eyebright_learning.evaluation import EvaluationCounts
from eyebright_server.federation.records import Arrays, Reply, Setback

Fault = Callable[[Reply], Reply]


def small_arrays() -> Arrays:
    return {
        "features.weight": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3),
        "bn.running_mean": np.array([0.5, -0.5], dtype=np.float32),
        "bn.running_var": np.array([1.0, 2.0], dtype=np.float32),
    }


@dataclass
class ValueHospitals:
    """A run's hospitals; ``faults[(kind, round, site)]`` spoils one reply."""

    rows: list[int]
    faults: dict[tuple[str, int, int], Fault] = field(default_factory=dict)
    asked: list[tuple[str, int]] = field(default_factory=list)
    backwards: bool = False
    answered: list[tuple[str, int, int]] = field(default_factory=list)
    came_late: list[Setback] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows)

    def late(self) -> list[Setback]:
        said, self.came_late = self.came_late, []
        return said

    def ask(
        self, kind: str, *, plan: Plan, round_number: int, arrays: Arrays | None, skip: Collection[int] = frozenset()
    ) -> Iterator[Reply]:
        self.asked.append((kind, round_number))
        order = [site for site in range(len(self.rows)) if site not in skip]
        for site in reversed(order) if self.backwards else order:
            self.answered.append((kind, round_number, site))
            reply = Reply(
                site=site,
                arrays=self._answer(kind, arrays, site),
                numbers=self._numbers(kind, site, plan),
                echo={exchange.PLAN_DIGEST: plan.digest(), exchange.ROUND: round_number},
                bytes_up=10,
                bytes_down=100,
            )
            yield self.faults.get((kind, round_number, site), lambda r: r)(reply)

    def _answer(self, kind: str, arrays: Arrays | None, site: int) -> Arrays:
        if kind == "train" and arrays:
            return self._trained(arrays, site)
        if kind == "statistics" and arrays:
            return {n: np.full_like(a, site + 1) for n, a in arrays.items() if is_running_statistic(n)}
        return {}

    def _trained(self, arrays: Arrays, site: int) -> Arrays:
        return {name: (array * np.float32(0.9) + np.float32(0.01 * (site + 1))) for name, array in arrays.items()}

    def _numbers(self, kind: str, site: int, plan: Plan) -> dict[str, int | float | list[int] | list[float]]:
        rows = self.rows[site]
        if kind == "query":
            return {exchange.SITE_INDEX: site, exchange.TRAIN_ROWS: rows, exchange.VALIDATION_ROWS: 4}
        if kind in {"train", "statistics"}:
            return {exchange.NUM_EXAMPLES: rows, exchange.LOSS_PREFIX + "ce": 1.0 + site}
        labels = np.array([0, 1, 0, 1])
        scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3 + 0.1 * site, 0.7 - 0.1 * site]])
        counts = EvaluationCounts.of(scores, labels, task=get_task(plan.task)).to_dict()
        return {exchange.NUM_EXAMPLES: 4, **{exchange.COUNTS_PREFIX + name: values for name, values in counts.items()}}


def refuses(reply: Reply) -> Reply:
    code = exchange.Refusal.PLAN_REFUSED
    return Reply(site=reply.site, error_code=int(code), error=exchange.REFUSAL_TEXT[code])


def is_silent(reply: Reply) -> Reply:
    return Reply(site=reply.site, error_code=4, error="no reply came")


def with_array(name: str, array: np.ndarray) -> Fault:
    return lambda reply: replace(reply, arrays={**reply.arrays, name: array})


def with_number(name: str, value: int | float | list[int] | list[float]) -> Fault:
    return lambda reply: replace(reply, numbers={**reply.numbers, name: value})


def with_echo(name: str, value: object) -> Fault:
    return lambda reply: replace(reply, echo={**reply.echo, name: value})
