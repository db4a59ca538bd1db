"""From predictions to rows: pooled over folds, averaged over seeds, compared with the control on the same resamples.

* Over the folds every picture is predicted exactly once per seed, by a model that never saw its group. Both are looked
  at here again, from the records: a study that breaks them is not reported.
* Probabilities are never averaged over seeds, since that would measure an ensemble nobody ships. The metric is averaged
  over seeds, within each resample; the interval is of that mean.
* An interval says how the numbers move with other patients. It does not say how they move with other folds or other
  teachers, and it is not widened for the number of arms looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eyebright_common.tasks import ScreeningTask
from eyebright_learning.evaluation import Cases
from eyebright_learning.evaluation.cases import Floats
from eyebright_simulations.study.folds import Integers
from eyebright_simulations.study.records import Predictions
from eyebright_simulations.study.resampling import cluster_draws, resampled_metrics
from eyebright_simulations.study.result_schema import MAIN, Estimate

LEVEL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledPictures:
    """The pictures that were predicted, and the resamples they are measured on.

    Attributes:
        task: What is screened for.
        groups: Group of every picture of the study, ``[N]``.
        labels: Label of every picture of the study, ``[N]``.
        positions: The pictures that were predicted, ``[M]``.
        members: For each of them its group, renumbered from 0, ``[M]``.
        draws: How often each group counts, ``[1 + replicates, G]``.
    """

    task: ScreeningTask
    groups: Integers
    labels: Integers
    positions: Integers
    members: Integers
    draws: Floats

    @classmethod
    def of(
        cls,
        *,
        task: ScreeningTask,
        groups: Integers,
        labels: Integers,
        tested: NDArray[np.bool_],
        replicates: int,
        seed: int,
    ) -> PooledPictures:
        """Return the tested pictures; ``tested`` is a mask ``[N]``."""
        positions = np.flatnonzero(tested)
        names, members = np.unique(groups[positions], return_inverse=True)
        draws = cluster_draws(len(names), replicates=replicates, seed=seed)
        return cls(task=task, groups=groups, labels=labels, positions=positions, members=members, draws=draws)

    def measure(self, folds_by_seed: Sequence[Sequence[Predictions]]) -> dict[str, Floats]:
        """Return each metric on each resample, averaged over seeds, ``[1 + replicates]`` by name.

        Args:
            folds_by_seed: For each seed, the predictions of each fold.
        """
        measured = [self._measure_one(self.pooled(folds)) for folds in folds_by_seed]
        return {name: np.mean([one[name] for one in measured], axis=0) for name in measured[0]}

    def pooled(self, folds: Sequence[Predictions]) -> NDArray[np.float64]:
        """Return the probabilities of the tested pictures, ``[M, C]``, from the folds of one seed."""
        return put_together(folds, groups=self.groups, positions=self.positions)

    def _measure_one(self, probabilities: NDArray[np.float64]) -> dict[str, Floats]:
        cases = Cases.of(probabilities, self.labels[self.positions], groups=self.members, task=self.task)
        return resampled_metrics(cases, self.draws)


def put_together(held_out: Sequence[Predictions], *, groups: Integers, positions: Integers) -> Floats:
    """Return the probabilities of the pictures at ``positions``, ``[M, C]``, from models that never saw their groups.

    Args:
        held_out: Predictions that together cover each position once.
        groups: Group of every picture of the study, ``[N]``.
        positions: In rising order, ``[M]``.
    """
    for part in held_out:
        seen = groups[np.concatenate([part.train, part.validation])]
        assert not np.isin(groups[part.test], seen).any(), "a model was tested on a patient it had seen"
    found = np.concatenate([part.test for part in held_out])
    order = np.argsort(found)
    assert np.array_equal(found[order], positions), "not every picture was predicted exactly once"
    probabilities: Floats = np.concatenate([part.probabilities for part in held_out])[order]
    return probabilities


def estimate(values: Floats) -> Estimate:
    """Return the plain value (the first) and the percentile interval of the others, ``[1 + replicates]``."""
    known = values[1:][np.isfinite(values[1:])]
    plain = float(values[0]) if np.isfinite(values[0]) else None
    if plain is None or len(known) < max(2, (len(values) - 1) // 2):
        return Estimate(value=plain, lower=None, upper=None)
    lower, upper = np.quantile(known, [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0])
    return Estimate(value=plain, lower=float(lower), upper=float(upper))


def estimates(measured: Mapping[str, Floats]) -> dict[str, Estimate]:
    """Return the estimate of every metric."""
    return {name: estimate(values) for name, values in measured.items()}


def differences(measured: Mapping[str, Floats], control: Mapping[str, Floats]) -> dict[str, Estimate]:
    """Return the estimate of every metric's difference to the control's, on the same resamples."""
    return {name: estimate(values - control[name]) for name, values in measured.items()}


def kept_share(measured: Mapping[str, Floats], teacher: Mapping[str, Floats]) -> Estimate:
    """Return the estimate of what part of the teacher's balanced accuracy is kept."""
    whole = teacher[MAIN]
    return estimate(np.divide(measured[MAIN], whole, out=np.full(len(whole), np.nan), where=whole > 0))
