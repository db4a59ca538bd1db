"""Our mean is Flower's, bit for bit; and no average depends on who is called which number."""

import numpy as np
from flwr.app import Message, MessageType, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedAvg
from hypothesis import given, settings
from hypothesis import strategies as st

from eyebright_common import exchange
from eyebright_common.plan import PlanPrivacy
from eyebright_server.federation.averaging import pooled_moments, weighted_mean
from eyebright_server.federation.flower import StrategyAveraging
from eyebright_server.federation.flower.records import array_record, take_identity
from eyebright_server.federation.privacy import PrivateAveraging
from eyebright_server.federation.records import Arrays, Reply

FINITE = st.floats(-1e4, 1e4, width=32)
HOSPITALS = st.lists(st.tuples(st.integers(1, 10**6), st.lists(FINITE, min_size=4, max_size=4)), min_size=1, max_size=7)


def replies(hospitals: list[tuple[int, list[float]]]) -> list[Reply]:
    return [
        Reply(site=site, arrays=arrays(values, site), numbers={exchange.NUM_EXAMPLES: rows})
        for site, (rows, values) in enumerate(hospitals)
    ]


def arrays(values: list[float], count: int = 0) -> Arrays:
    whole = np.array(values, dtype=np.float32)
    return {"weight": whole.reshape(2, 2), "scale": whole[3:].reshape(()), "steps": np.array([count], dtype=np.int64)}


def flowers_mean(given: list[Reply]) -> Arrays:
    take_identity()
    messages = []
    for reply in given:
        floats = {name: array for name, array in reply.arrays.items() if array.dtype.kind == "f"}
        content = {
            exchange.ARRAYS: array_record(floats, widen=True),
            exchange.METRICS: MetricRecord({exchange.NUM_EXAMPLES: reply.numbers[exchange.NUM_EXAMPLES]}),
        }
        messages.append(Message(RecordDict(content), 1, MessageType.TRAIN))
    record, _ = FedAvg().aggregate_train(1, messages)
    assert record is not None
    return {name: array.numpy() for name, array in record.items()}


@given(HOSPITALS)
@settings(deadline=None)
def test_the_mean_is_flowers_bit_for_bit(hospitals: list[tuple[int, list[float]]]) -> None:
    expected = flowers_mean(replies(hospitals))
    found = weighted_mean(replies(hospitals), names=expected)
    assert all((found[name] == expected[name]).all() for name in expected)


@given(HOSPITALS, st.sampled_from(["fedavg", "fedmedian", "fedtrimmedavg", "fedadam", "fedyogi"]))
@settings(deadline=None)
def test_counters_keep_their_type_and_are_the_greatest(hospitals: list[tuple[int, list[float]]], name: str) -> None:
    combined = StrategyAveraging(name).combine(1, arrays([0, 0, 0, 0]), replies(hospitals))
    assert combined["steps"].dtype == np.int64
    assert combined["steps"][0] == len(hospitals) - 1


@given(HOSPITALS, st.randoms(), st.sampled_from(["fedavg", "fedmedian", "fedtrimmedavg"]))
@settings(deadline=None)
def test_the_order_of_the_hospitals_changes_no_more_than_rounding(
    hospitals: list[tuple[int, list[float]]], order: object, name: str
) -> None:
    given_order = replies(hospitals)
    other = list(given_order)
    order.shuffle(other)  # type: ignore[attr-defined]
    one = StrategyAveraging(name).combine(1, arrays([0, 0, 0, 0]), given_order)
    two = StrategyAveraging(name).combine(1, arrays([0, 0, 0, 0]), other)
    np.testing.assert_allclose(one["weight"], two["weight"], rtol=1e-5, atol=1e-5)


@given(HOSPITALS, st.integers(2, 1000))
@settings(deadline=None)
def test_only_the_proportions_of_the_weights_count(hospitals: list[tuple[int, list[float]]], times: int) -> None:
    more = [(rows * times, values) for rows, values in hospitals]
    one, two = weighted_mean(replies(hospitals)), weighted_mean(replies(more))
    np.testing.assert_allclose(one["weight"], two["weight"], rtol=1e-9, atol=1e-9)


@given(st.lists(st.lists(st.floats(-100, 100), min_size=2, max_size=30), min_size=1, max_size=6))
@settings(deadline=None)
def test_pooled_moments_are_those_of_all_values_together(parts: list[list[float]]) -> None:
    given_parts = [
        Reply(
            site=i,
            arrays={"n.running_mean": np.array([np.mean(p)]), "n.running_var": np.array([np.var(p)])},
            numbers={exchange.NUM_EXAMPLES: len(p)},
        )
        for i, p in enumerate(parts)
    ]
    whole, pooled = np.concatenate(parts), pooled_moments(given_parts)
    np.testing.assert_allclose(pooled["n.running_mean"], [whole.mean()], atol=1e-8)
    np.testing.assert_allclose(pooled["n.running_var"], [whole.var()], atol=1e-7)


@given(HOSPITALS, st.floats(1e-3, 1e3))
@settings(deadline=None)
def test_clipping_bounds_what_one_hospital_can_move(hospitals: list[tuple[int, list[float]]], norm: float) -> None:
    """With next to no noise, leaving a hospital's update out moves the average by at most S / K."""
    privacy = PlanPrivacy(clipping_norm=norm, noise_multiplier=1e-12)
    current, given_order = arrays([0, 0, 0, 0]), replies(hospitals)
    silent = Reply(site=0, arrays=current, numbers={exchange.NUM_EXAMPLES: 1})
    one = PrivateAveraging(privacy, b"s").combine(1, current, given_order)
    two = PrivateAveraging(privacy, b"s").combine(1, current, [silent, *given_order[1:]])
    moved = np.sqrt(sum(float(np.sum((one[n].astype(float) - two[n]) ** 2)) for n in ("weight", "scale")))
    assert moved <= norm / len(hospitals) * (1 + 1e-4) + 1e-6
