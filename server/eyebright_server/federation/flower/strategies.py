"""Averaging with Flower's own strategies.

* ``aggregate_train`` is used, ``Strategy.start`` is not: it has no checkpoint, waits for ever for nodes and ends
  everybody's run at one odd reply.
* Replies are widened to float64 first, because FedAvg accumulates in the dtype it is given; the result is cast back.
* FedProx is FedAvg at the server; its pull is in the hospital's loss, by ``Plan.proximal_mu``.
* FedAvgM and FedAdam move weights along moments of past updates. A running variance moved that way may turn negative,
  so BatchNorm running statistics always go through FedAvg. Their rates are constants here, in Flower's terms.
* Median and trimmed mean ignore how many images a hospital has; with fewer than ``LEAST_HOSPITALS`` they trim nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from flwr.app import Message, MessageType, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedAdam, FedAvg, FedAvgM, FedMedian, FedProx, FedTrimmedAvg

from eyebright_common import exchange
from eyebright_common.exchange import is_running_statistic
from eyebright_server.federation.flower.records import array_record, take_identity
from eyebright_server.federation.records import Arrays, Reply

LEAST_HOSPITALS = {"fedmedian": 3, "fedtrimmedavg": 5}
_NODE = 1  # gated replies are only containers here; where they came from no longer matters

_STRATEGIES: dict[str, Callable[[], FedAvg]] = {
    "fedavg": lambda: FedAvg(),
    "fedprox": lambda: FedProx(),
    "fedavgm": lambda: FedAvgM(server_learning_rate=1.0, server_momentum=0.9),
    "fedadam": lambda: FedAdam(eta=0.01, beta_1=0.9, beta_2=0.99, tau=1e-3),
    "fedmedian": lambda: FedMedian(),
    "fedtrimmedavg": lambda: FedTrimmedAvg(beta=0.2),
}


class StrategyAveraging:
    """Averages with one of Flower's strategies.

    Args:
        name: ``Plan.aggregation``.
    """

    def __init__(self, name: str) -> None:
        self._weights = _STRATEGIES[name]()
        self._statistics = FedAvg() if name in {"fedavgm", "fedadam"} else self._weights

    def combine(self, round_number: int, current: Arrays, replies: Sequence[Reply]) -> Arrays:
        """Return the next global arrays.

        Args:
            round_number: Round, from 1; FedAdam's bias correction uses it.
            current: The arrays that were sent.
            replies: Accepted replies, in the order of the hospitals' numbers.
        """
        names = sorted(current)
        statistics = [n for n in names if is_running_statistic(n)] if self._statistics is not self._weights else []
        weights = [n for n in names if n not in set(statistics)]
        if isinstance(self._weights, FedAvgM):
            self._weights.current_arrays = array_record({n: current[n] for n in weights}, widen=True)
        if isinstance(self._weights, FedAdam):
            self._weights.current_arrays = {n: current[n].astype(np.float64) for n in weights}
        combined = _aggregate(self._weights, round_number, weights, replies)
        if statistics:
            combined |= _aggregate(self._statistics, round_number, statistics, replies)
        return {n: combined[n].astype(current[n].dtype).reshape(current[n].shape) for n in names}

    def state(self) -> Arrays:
        """Return the moments of a server optimiser by name; empty for plain averages."""
        if isinstance(self._weights, FedAvgM) and self._weights.momentum_vector is not None:
            return {f"momentum/{i:05d}": array for i, array in enumerate(self._weights.momentum_vector)}
        if isinstance(self._weights, FedAdam) and self._weights.m_t and self._weights.v_t:
            first = {f"m/{name}": array for name, array in self._weights.m_t.items()}
            return first | {f"v/{name}": array for name, array in self._weights.v_t.items()}
        return {}

    def restore(self, state: Arrays) -> None:
        """Take back what ``state`` returned."""
        if isinstance(self._weights, FedAvgM) and state:
            self._weights.momentum_vector = [state[name] for name in sorted(state)]
        if isinstance(self._weights, FedAdam) and state:
            self._weights.m_t = {n[2:]: array for n, array in state.items() if n.startswith("m/")}
            self._weights.v_t = {n[2:]: array for n, array in state.items() if n.startswith("v/")}


def _aggregate(strategy: FedAvg, round_number: int, names: Sequence[str], replies: Sequence[Reply]) -> Arrays:
    take_identity()
    messages = []
    for reply in replies:
        count = reply.numbers[exchange.NUM_EXAMPLES]
        assert isinstance(count, int), "the gate lets only whole counts pass"
        content = RecordDict(
            {
                exchange.ARRAYS: array_record({name: reply.arrays[name] for name in names}, widen=True),
                exchange.METRICS: MetricRecord({exchange.NUM_EXAMPLES: count}),
            }
        )
        messages.append(Message(content, _NODE, MessageType.TRAIN))
    arrays, _ = strategy.aggregate_train(round_number, messages)
    assert arrays is not None, "the driver aggregates only with a quorum"
    return {name: array.numpy() for name, array in arrays.items()}
