"""Answers of a model of a given skill, for every arm, and the metrics the evaluation room computes from them."""

from __future__ import annotations

from typing import Any

import numpy as np

from eyebright_common.tasks import ScreeningTask
from eyebright_learning.evaluation import metrics
from eyebright_simulations.report import (
    ArmName,
)

SKILL = {
    ArmName.STUDENT: 2.3,
    ArmName.NO_DISTILLATION: 1.9,
    ArmName.BEST_LOCAL: 1.5,
    ArmName.POOLED: 2.4,
    ArmName.TEACHER: 2.8,
}


class FakeAnswers:
    """The answers of every arm to the same pictures, drawn from a seed."""

    def __init__(self, task: ScreeningTask, seed: int, skill: dict[ArmName, float]) -> None:
        self.task, self.skill, self.seed = task, skill, seed
        self.truth = np.arange(240) % len(task.classes)
        self.answers = {arm: self._answers(arm, self.truth) for arm in ArmName}

    def _answers(self, arm: ArmName, truth: np.ndarray, salt: int = 0, shift: float = 0.0) -> np.ndarray:
        random = np.random.default_rng([self.seed, list(ArmName).index(arm), salt])
        logits = random.normal(size=(len(truth), len(self.task.classes)))
        logits[np.arange(len(truth)), truth] += self.skill[arm] + shift
        powers = np.exp(1.3 * logits)
        return powers / powers.sum(axis=1, keepdims=True)

    def metrics(self, arm: ArmName, salt: int = 0, shift: float = 0.0, n: int | None = None) -> dict[str, Any]:
        """Return the metrics of an arm; ``salt`` and ``shift`` give other answers, ``n`` fewer pictures."""
        if salt == 0 and shift == 0.0:
            return metrics(self.answers[arm], self.truth, task=self.task, threshold=0.41)
        truth = self.truth[: n or len(self.truth)]
        return metrics(self._answers(arm, truth, salt, shift), truth, task=self.task, threshold=0.41)
