"""The mean weighted by examples, one reply at a time: however many hospitals, one reply is in memory.

* It is Flower's ``aggregate_arrayrecords`` in Flower's order and precision, ``sum_i x_i (n_i / sum_j n_j)`` in float64,
  bit for bit; a property test holds the two together. Flower's own keeps every reply three times over and takes ten
  times as long, most of it in packing arrays into messages and out again.
* Counters and other integers are not averaged: the greatest is taken, and its type is kept.
* Means and variances of batch normalisation can be pooled as moments instead, which also sees the difference *between*
  hospitals: ``m = sum w_i m_i``, ``v = sum w_i (v_i + m_i^2) - m^2``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from eyebright_common import exchange
from eyebright_server.federation.records import Arrays, Reply


def examples_of(reply: Reply) -> int:
    """Return the number of training images behind a gated reply."""
    count = reply.numbers[exchange.NUM_EXAMPLES]
    assert isinstance(count, int), "the gate lets only whole counts pass"
    return count


def weighted_mean(replies: Sequence[Reply], *, names: Iterable[str] | None = None) -> Arrays:
    """Return the mean of the replies' arrays in float64, weighted by examples.

    Args:
        replies: Gated replies, in the order of the hospitals' numbers.
        names: The arrays wanted; all of the first reply when None.
    """
    total = sum(map(examples_of, replies))
    wanted = None if names is None else frozenset(names)
    mean: Arrays = {}
    for reply in replies:
        weight = examples_of(reply) / total
        for name, array in reply.arrays.items():
            if wanted is not None and name not in wanted:
                continue
            if name not in mean:
                mean[name] = np.asarray(array.astype(np.float64) * weight)
            else:
                mean[name] += array.astype(np.float64) * weight
    return mean


def greatest(replies: Sequence[Reply], names: Iterable[str]) -> Arrays:
    """Return the greatest value of each entry of the integer arrays ``names``, in their own type."""
    return {name: np.maximum.reduce([reply.arrays[name] for reply in replies]) for name in names}


def pooled_moments(replies: Sequence[Reply]) -> Arrays:
    """Return running means and variances as if all hospitals' images had been measured together, in float64.

    Args:
        replies: Gated replies whose arrays are ``….running_mean`` and ``….running_var`` in pairs.
    """
    total = sum(map(examples_of, replies))
    first: Arrays = {}
    second: Arrays = {}
    for reply in replies:
        weight = examples_of(reply) / total
        for name in sorted(name for name in reply.arrays if name.endswith("running_mean")):
            layer = name.removesuffix("running_mean")
            mean = reply.arrays[name].astype(np.float64)
            square = reply.arrays[layer + "running_var"].astype(np.float64) + mean**2
            first[layer] = first.get(layer, 0.0) + weight * mean
            second[layer] = second.get(layer, 0.0) + weight * square
    variances = {layer + "running_var": np.maximum(second[layer] - first[layer] ** 2, 0.0) for layer in first}
    return {layer + "running_mean": mean for layer, mean in first.items()} | variances
