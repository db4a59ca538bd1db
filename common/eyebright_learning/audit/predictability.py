"""How well something other than the retina predicts the label, on patients that the predictor has not seen.

* Folds are grouped: a patient, with every near-duplicate, is in one fold (``split_groups``). Every picture is predicted
  once, by a predictor that was fitted on the other folds.
* A name (site, camera) predicts the class under which it is most common, p(class | name) with equal class priors:
  counts per class with half a picture added, so that a name never seen predicts nothing.
* Measurements (file, shape, colour) go through a logistic regression on standardised values and their squares, classes
  weighted equally. Simple on purpose: what it finds, any network finds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from eyebright_common.manifest import split_groups
from eyebright_learning.evaluation.cases import Floats, Integers, Mask

FOLDS = 5
_HALF_A_PICTURE = 0.5
_MOST_STEPS = 1000

# Fitted on the pictures of the mask, answers for all of them: [N, C].
Fit = Callable[[Mask], Floats]


def predict_from_names(
    names: Sequence[str], labels: Integers, groups: Integers, *, classes: int, seed: int = 0, folds: int = FOLDS
) -> Floats:
    """Return out-of-fold probabilities ``[N, classes]`` of labels ``[N]`` from names alone.

    Args:
        names: One per picture.
        labels: Class indices.
        groups: What may not be parted between folds.
        classes: How many classes the task has.
        seed: Of the folds.
        folds: How many.
    """
    values, code = np.unique(np.asarray(names, dtype=np.str_), return_inverse=True)

    def fit(known: Mask) -> Floats:
        table = np.zeros((len(values), classes))
        np.add.at(table, (code[known], labels[known]), 1.0)
        present = table.sum(axis=0) > 0
        likely = (table + _HALF_A_PICTURE) / (table.sum(axis=0) + _HALF_A_PICTURE * len(values)) * present
        unseen = table.sum(axis=1) == 0
        likely[unseen] = present
        return np.asarray((likely / likely.sum(axis=1, keepdims=True))[code])

    return _out_of_fold(fit, labels, groups, classes, seed, folds)


def predict_from_measurements(
    values: Floats, labels: Integers, groups: Integers, *, classes: int, seed: int = 0, folds: int = FOLDS
) -> Floats:
    """Return out-of-fold probabilities ``[N, classes]`` from measurements ``[N, F]``; arguments as above."""
    curved = np.concatenate([values, _standard(values) ** 2], axis=1)

    def fit(known: Mask) -> Floats:
        answers = np.zeros((len(labels), classes))
        present = np.unique(labels[known])
        if len(present) < 2:
            answers[:, present] = 1.0
            return answers
        model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=_MOST_STEPS))
        model.fit(curved[known], labels[known])
        answers[:, present] = model.predict_proba(curved)
        return answers

    return _out_of_fold(fit, labels, groups, classes, seed, folds)


def _standard(values: Floats) -> Floats:
    # The deviation of equal values is not exactly zero; their range is.
    spread = np.where(np.ptp(values, axis=0) > 0, values.std(axis=0), 1.0)
    return np.asarray((values - values.mean(axis=0)) / spread)


def _out_of_fold(fit: Fit, labels: Integers, groups: Integers, classes: int, seed: int, folds: int) -> Floats:
    answers = np.zeros((len(labels), classes))
    fold = split_groups(groups, labels, {str(number): 1.0 for number in range(folds)}, seed)
    for name in np.unique(fold):
        held_out = fold == name
        answers[held_out] = fit(~held_out)[held_out]
    return answers
