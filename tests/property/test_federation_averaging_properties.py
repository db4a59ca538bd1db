"""Averaging is the weighted mean, whatever the numbers, and stays inside what hospitals sent."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from eyebright_common import exchange
from eyebright_server.federation.flower import StrategyAveraging
from eyebright_server.federation.records import Arrays, Reply

FINITE = st.floats(-1e4, 1e4, width=32)
HOSPITALS = st.lists(st.tuples(st.integers(1, 10**6), st.lists(FINITE, min_size=4, max_size=4)), min_size=1, max_size=6)


def replies(hospitals: list[tuple[int, list[float]]]) -> list[Reply]:
    return [
        Reply(site=site, arrays=arrays(values), numbers={exchange.NUM_EXAMPLES: rows})
        for site, (rows, values) in enumerate(hospitals)
    ]


def arrays(values: list[float]) -> Arrays:
    whole = np.array(values, dtype=np.float32)
    return {"weight": whole[:3], "scale": whole[3:].reshape(()), "bn.running_var": np.abs(whole[:2])}


@given(HOSPITALS)
@settings(deadline=None)
def test_fedavg_is_the_mean_weighted_by_images(hospitals: list[tuple[int, list[float]]]) -> None:
    combined = StrategyAveraging("fedavg").combine(1, arrays([0, 0, 0, 0]), replies(hospitals))
    rows = [count for count, _ in hospitals]
    for name, got in combined.items():
        sent = np.stack([reply.arrays[name].astype(np.float64) for reply in replies(hospitals)])
        expected = np.average(sent, axis=0, weights=rows)
        assert got.dtype == np.float32
        assert got.shape == sent.shape[1:]
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6 * float(np.abs(sent).max() + 1e-30))


@given(HOSPITALS, st.sampled_from(["fedavg", "fedprox", "fedmedian", "fedtrimmedavg"]))
@settings(deadline=None)
def test_a_mean_or_median_stays_between_the_least_and_the_greatest(
    hospitals: list[tuple[int, list[float]]], name: str
) -> None:
    combined = StrategyAveraging(name).combine(1, arrays([0, 0, 0, 0]), replies(hospitals))
    for key, got in combined.items():
        sent = np.stack([reply.arrays[key] for reply in replies(hospitals)])
        slack = 1e-6 * (np.abs(sent).max() + 1)
        assert (got >= sent.min(axis=0) - slack).all()
        assert (got <= sent.max(axis=0) + slack).all()


@given(HOSPITALS, st.sampled_from(["fedavgm", "fedadam"]))
@settings(deadline=None)
def test_a_server_optimiser_never_makes_a_variance_negative(
    hospitals: list[tuple[int, list[float]]], name: str
) -> None:
    averaging, current = StrategyAveraging(name), arrays([1, 1, 1, 1])
    for number in (1, 2, 3):
        current = averaging.combine(number, current, replies(hospitals))
        assert (current["bn.running_var"] >= 0).all()


@given(st.floats(-1e4, 1e4, width=32), st.integers(1, 7))
@settings(deadline=None)
def test_hospitals_that_agree_leave_their_value_unchanged(value: float, count: int) -> None:
    same = [(1 + i, [value] * 4) for i in range(count)]
    combined = StrategyAveraging("fedavg").combine(1, arrays([0, 0, 0, 0]), replies(same))
    np.testing.assert_allclose(combined["weight"], np.float32(value), rtol=1e-6)
