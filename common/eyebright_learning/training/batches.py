"""Which pictures make a step.

* The order of an epoch comes from (seed, epoch) alone, so a run in two stretches sees what one run would have seen.
* Batches are equal to within one picture and cover the epoch: nothing is dropped. A batch of one never occurs, because
  batch normalisation cannot learn from it; where the arithmetic would leave one, there are fewer, larger batches.
* Balanced sampling repeats the rarer classes in turn, so that each class has an equal share of the epoch and no
  picture of a class comes twice before all of that class came once.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Index = npt.NDArray[np.int64]


def epoch_order(labels: Index, *, seed: int, epoch: int, balanced: bool) -> Index:
    """Return picture positions in the order of one epoch, as many as there are labels."""
    generator = np.random.Generator(np.random.PCG64([seed, epoch]))
    if not balanced:
        return generator.permutation(len(labels)).astype(np.int64)
    present = np.unique(labels)
    shares = np.array_split(np.arange(len(labels)), len(present))
    chosen = [
        _in_turn(np.flatnonzero(labels == label), len(share), generator)
        for label, share in zip(generator.permutation(present), shares, strict=True)
    ]
    return generator.permutation(np.concatenate(chosen)).astype(np.int64)


def split_batches(order: Index, batch_size: int) -> list[Index]:
    """Return ``order`` cut into equal batches of about ``batch_size``, none of them of one picture."""
    return np.array_split(order, batches_per_epoch(len(order), batch_size))


def batches_per_epoch(count: int, batch_size: int) -> int:
    """Return into how many batches ``count`` pictures are cut."""
    return max(1, min(-(-count // batch_size), count // 2))


def class_weights(labels: Index, classes: int) -> npt.NDArray[np.float32]:
    """Return weights inverse to class frequency, mean 1 over the pictures; 0 for a class without pictures."""
    counts = np.bincount(labels, minlength=classes).astype(np.float64)
    present = counts > 0
    weights = np.zeros(classes)
    weights[present] = len(labels) / (present.sum() * counts[present])
    return weights.astype(np.float32)


def log_prior(labels: Index, classes: int) -> npt.NDArray[np.float32]:
    """Return the logarithm of each class's share ``[C]``; a class without pictures counts as half a picture."""
    counts = np.maximum(np.bincount(labels, minlength=classes), 0.5)
    shares = counts / counts.sum()
    return np.asarray(np.log(shares), np.float32)


def _in_turn(members: Index, wanted: int, generator: np.random.Generator) -> Index:
    rounds = -(-wanted // len(members))
    return np.concatenate([generator.permutation(members) for _ in range(rounds)])[:wanted]
