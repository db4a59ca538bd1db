"""Hospitals that really learn, in milliseconds: logistic regression on two overlapping clouds of points."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

import numpy as np

from eyebright_common import exchange
from eyebright_common.plan import Plan
from eyebright_common.tasks import get_task
from eyebright_learning.evaluation import EvaluationCounts
from eyebright_server.federation.records import Arrays, Reply, Setback

FEATURES = 8
ROWS = 120
Attack = Callable[[Arrays, Arrays], Arrays]


def points(seed: int, rows: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = np.arange(rows) % 2
    return generator.normal(size=(rows, FEATURES)) + 0.6 * labels[:, None], labels


def first_weights() -> Arrays:
    return {"head.weight": np.zeros((2, FEATURES), dtype=np.float32), "head.bias": np.zeros(2, dtype=np.float32)}


def probabilities(arrays: Arrays, x: np.ndarray) -> np.ndarray:
    logits = x @ arrays["head.weight"].T + arrays["head.bias"]
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def trained(arrays: Arrays, x: np.ndarray, labels: np.ndarray, steps: int = 20) -> Arrays:
    weight, bias = arrays["head.weight"].astype(float), arrays["head.bias"].astype(float)
    for _ in range(steps):
        error = probabilities({"head.weight": weight, "head.bias": bias}, x) - np.eye(2)[labels]
        weight -= 0.5 * error.T @ x / len(x)
        bias -= 0.5 * error.mean(axis=0)
    return {"head.weight": weight.astype(np.float32), "head.bias": bias.astype(np.float32)}


@dataclass
class LearningHospitals:
    """``attacks[site]`` changes what a hospital sends; ``flipped`` hospitals have their labels the wrong way round."""

    hospitals: int
    attacks: dict[int, Attack] = field(default_factory=dict)
    flipped: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return self.hospitals

    def late(self) -> list[Setback]:
        return []

    def points(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """A hospital's own pictures, and with 1000 more those it evaluates on."""
        return points(seed)

    def ask(
        self, kind: str, *, plan: Plan, round_number: int, arrays: Arrays | None, skip: Collection[int] = frozenset()
    ) -> Iterator[Reply]:
        for site in range(self.hospitals):
            if site in skip:
                continue
            sent: Arrays = {}
            numbers: dict[str, int | float | list[int] | list[float]] = {exchange.SITE_INDEX: site}
            if kind == "query":
                numbers |= {exchange.TRAIN_ROWS: ROWS, exchange.VALIDATION_ROWS: ROWS}
            elif kind == "train":
                assert arrays is not None
                x, labels = self.points(site)
                sent = trained(arrays, x, 1 - labels if site in self.flipped else labels)
                sent = self.attacks.get(site, lambda mine, _: mine)(sent, arrays)
                numbers |= {exchange.NUM_EXAMPLES: ROWS}
            else:
                assert arrays is not None
                x, labels = self.points(1000 + site)
                counts = EvaluationCounts.of(probabilities(arrays, x), labels, task=get_task(plan.task)).to_dict()
                numbers |= {exchange.NUM_EXAMPLES: ROWS}
                numbers |= {exchange.COUNTS_PREFIX + name: values for name, values in counts.items()}
            echo = {exchange.PLAN_DIGEST: plan.digest(), exchange.ROUND: round_number}
            yield Reply(site=site, arrays=sent, numbers=numbers, echo=echo)


def sign_flip(mine: Arrays, before: Arrays) -> Arrays:
    """Ten times the way back."""
    return {name: (before[name] - 10 * (array - before[name])).astype(np.float32) for name, array in mine.items()}
