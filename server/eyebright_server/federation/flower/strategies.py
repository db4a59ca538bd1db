"""Averaging with Flower's own strategies.

* ``aggregate_train`` is used, ``Strategy.start`` is not: it has no checkpoint, waits for ever for nodes and ends
  everybody's run at one odd reply.
* Replies are widened to float64 first, because FedAvg accumulates in the dtype it is given; the result is cast back.
* A plain mean is taken one reply at a time (``averaging``), and is what Flower's own would be, bit for bit. The server
  optimisers are Flower's, given that mean as the only reply.
* Median and trimmed mean look at one coordinate at a time: they are given some arrays at a time, so that memory does
  not grow with the hospitals. The Krum family measures distances between whole students and needs them all at once.
* FedProx is FedAvg at the server; its pull is in the hospital's loss, by ``Plan.proximal_mu``.
* FedAvgM, FedAdam and FedYogi move weights along moments of past updates. A running variance moved that way may turn
  negative, so BatchNorm running statistics always go through FedAvg. Their rates are constants here, in Flower's terms.
* Median, trimmed mean and the Krum family ignore how many images a hospital has; below ``least_hospitals`` they protect
  against nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from flwr.app import Message, MessageType, MetricRecord, RecordDict
from flwr.serverapp.strategy import (
    Bulyan,
    FedAdam,
    FedAvg,
    FedAvgM,
    FedMedian,
    FedTrimmedAvg,
    FedYogi,
    Krum,
    MultiKrum,
)
from flwr.serverapp.strategy.fedopt import FedOpt

from eyebright_common import exchange
from eyebright_common.exchange import is_running_statistic
from eyebright_server.federation.averaging import examples_of, greatest, weighted_mean
from eyebright_server.federation.flower.records import array_record, take_identity
from eyebright_server.federation.records import Arrays, Reply

LEAST_HOSPITALS = {"fedmedian": 3, "fedtrimmedavg": 5}
_NODE = 1  # gated replies are only containers here; where they came from no longer matters
_AT_ONCE = 8_000_000  # entries, over all hospitals, of the arrays given to a coordinate-wise strategy

_MEANS = ("fedavg", "fedprox")
_OPTIMISERS: dict[str, Callable[[], FedAvg]] = {
    "fedavgm": lambda: FedAvgM(server_learning_rate=1.0, server_momentum=0.9),
    "fedadam": lambda: FedAdam(eta=0.01, beta_1=0.9, beta_2=0.99, tau=1e-3),
    "fedyogi": lambda: FedYogi(eta=0.01, beta_1=0.9, beta_2=0.99, tau=1e-3),
}
_COORDINATE_WISE: dict[str, Callable[[], FedAvg]] = {
    "fedmedian": lambda: FedMedian(),
    "fedtrimmedavg": lambda: FedTrimmedAvg(beta=0.2),
}


def least_hospitals(aggregation: str, hostile: int = 0) -> int:
    """Return how many replies ``aggregation`` needs to be what its name says.

    Krum and Multi-Krum need ``2 f + 3`` replies against ``f`` hostile hospitals (Blanchard et al. 2017), Bulyan
    ``4 f + 3`` (El Mhamdi et al. 2018).
    """
    if aggregation in {"krum", "multikrum"}:
        return 2 * hostile + 3
    return 4 * hostile + 3 if aggregation == "bulyan" else LEAST_HOSPITALS.get(aggregation, 1)


class StrategyAveraging:
    """Averages with one of Flower's strategies.

    Args:
        name: ``Plan.aggregation``.
        hostile: ``Plan.hostile``, for the Krum family.
    """

    def __init__(self, name: str, hostile: int = 0) -> None:
        self._name, self._hostile = name, hostile
        self._optimiser = _OPTIMISERS[name]() if name in _OPTIMISERS else None

    def combine(self, round_number: int, current: Arrays, replies: Sequence[Reply]) -> Arrays:
        """Return the next global arrays.

        Args:
            round_number: Round, from 1; FedAdam's bias correction uses it.
            current: The arrays that were sent.
            replies: Accepted replies, in the order of the hospitals' numbers.
        """
        whole = [name for name in sorted(current) if current[name].dtype.kind != "f"]
        names = [name for name in sorted(current) if current[name].dtype.kind == "f"]
        combined = self._combined(round_number, current, names, replies) | greatest(replies, whole)
        return {n: combined[n].astype(current[n].dtype).reshape(current[n].shape) for n in sorted(current)}

    def _combined(self, number: int, current: Arrays, names: list[str], replies: Sequence[Reply]) -> Arrays:
        if self._name in _MEANS:
            return weighted_mean(replies, names=names)
        if self._optimiser is not None:
            return self._optimised(number, current, weighted_mean(replies, names=names))
        combined: Arrays = {}
        if self._name in _COORDINATE_WISE:
            for some in _in_parts(names, current, len(replies)):
                combined |= _aggregate(_COORDINATE_WISE[self._name](), number, some, replies)
            return combined
        return _aggregate(self._krum(len(replies)), number, names, replies)

    def _optimised(self, number: int, current: Arrays, mean: Arrays) -> Arrays:
        weights = [name for name in sorted(mean) if not is_running_statistic(name)]
        if isinstance(self._optimiser, FedAvgM):
            self._optimiser.current_arrays = array_record({n: current[n] for n in weights}, widen=True)
        if isinstance(self._optimiser, FedOpt):
            self._optimiser.current_arrays = {n: current[n].astype(np.float64) for n in weights}
        as_one = Reply(site=0, arrays=mean, numbers={exchange.NUM_EXAMPLES: 1})
        return mean | _aggregate(self._optimiser, number, weights, [as_one])

    def _krum(self, replies: int) -> FedAvg:
        hostile = self._hostile
        if self._name == "krum":
            return Krum(num_malicious_nodes=hostile)
        if self._name == "multikrum":
            return MultiKrum(num_malicious_nodes=hostile, num_nodes_to_select=max(1, replies - hostile))
        # With fewer replies Bulyan would return nothing; what it can still withstand is what it is asked for.
        return Bulyan(num_malicious_nodes=max(0, min(hostile, (replies - 3) // 4)))

    def state(self) -> Arrays:
        """Return the moments of a server optimiser by name; empty for plain averages."""
        if isinstance(self._optimiser, FedAvgM) and self._optimiser.momentum_vector is not None:
            return {f"momentum/{i:05d}": array for i, array in enumerate(self._optimiser.momentum_vector)}
        if isinstance(self._optimiser, FedOpt) and self._optimiser.m_t and self._optimiser.v_t:
            first = {f"m/{name}": array for name, array in self._optimiser.m_t.items()}
            return first | {f"v/{name}": array for name, array in self._optimiser.v_t.items()}
        return {}

    def restore(self, state: Arrays) -> None:
        """Take back what ``state`` returned."""
        if isinstance(self._optimiser, FedAvgM) and state:
            self._optimiser.momentum_vector = [state[name] for name in sorted(state)]
        if isinstance(self._optimiser, FedOpt) and state:
            self._optimiser.m_t = {n[2:]: array for n, array in state.items() if n.startswith("m/")}
            self._optimiser.v_t = {n[2:]: array for n, array in state.items() if n.startswith("v/")}


def _in_parts(names: Sequence[str], current: Arrays, hospitals: int) -> Iterator[list[str]]:
    part: list[str] = []
    entries = 0
    for name in names:
        if part and (entries + current[name].size) * hospitals > _AT_ONCE:
            yield part
            part, entries = [], 0
        part.append(name)
        entries += current[name].size
    if part:
        yield part


def _aggregate(strategy: FedAvg | None, round_number: int, names: Sequence[str], replies: Sequence[Reply]) -> Arrays:
    assert strategy is not None, "only optimisers come without being made here"
    take_identity()
    messages = []
    for reply in replies:
        arrays = {name: reply.arrays[name] for name in names}
        content = RecordDict(
            {
                exchange.ARRAYS: array_record(arrays, widen=True),
                exchange.METRICS: MetricRecord({exchange.NUM_EXAMPLES: examples_of(reply)}),
            }
        )
        messages.append(Message(content, _NODE, MessageType.TRAIN))
    arrays_record, _ = strategy.aggregate_train(round_number, messages)
    assert arrays_record is not None, "the driver aggregates only with a quorum"
    return {name: array.numpy() for name, array in arrays_record.items()}
