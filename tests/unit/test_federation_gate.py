"""A reply touches the model only if it is what was asked for."""

from dataclasses import replace

import numpy as np
import pytest

from eyebright_common import exchange
from eyebright_server.federation.gate import set_aside_counts, set_aside_update
from eyebright_server.federation.records import UNIDENTIFIED, Setback
from tiny_federation import tiny_plan
from value_hospitals import Fault, ValueHospitals, small_arrays, with_array, with_echo, with_number

PLAN = tiny_plan()
SENT = small_arrays()


def verdict(fault: Fault = lambda reply: reply, kind: str = "train") -> Setback | None:
    (reply,) = ValueHospitals(rows=[100]).ask(kind, plan=PLAN, round_number=2, arrays=SENT)
    digest = PLAN.digest()
    if kind == "train":
        return set_aside_update(fault(reply), sent=SENT, plan_digest=digest, round_number=2, declared_rows=100)
    return set_aside_counts(fault(reply), plan_digest=digest, round_number=2, declared_rows=4)


def nan_in(name: str) -> np.ndarray:
    array = SENT[name].copy()
    array.flat[0] = np.nan
    return array


def test_an_honest_update_passes() -> None:
    assert verdict() is None


def test_an_honest_evaluation_passes() -> None:
    assert verdict(kind="evaluate") is None


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (lambda reply: replace(reply, site=UNIDENTIFIED), "unidentified"),
        (with_echo(exchange.PLAN_DIGEST, "0" * 64), "wrong_plan"),
        (with_echo(exchange.ROUND, 1), "wrong_round"),
        (with_array("extra.weight", np.zeros(1, dtype=np.float32)), "wrong_keys"),
        (with_array("features.weight", np.zeros((3, 2), dtype=np.float32)), "wrong_shape"),
        (with_array("features.weight", np.zeros((2, 3), dtype=np.float64)), "wrong_dtype"),
        (with_array("features.weight", nan_in("features.weight")), "not_finite"),
        (with_array("bn.running_var", np.array([1.0, -0.1], dtype=np.float32)), "negative_variance"),
        (with_number(exchange.LOSS_PREFIX + "kd", float("inf")), "not_finite"),
        (with_number(exchange.NUM_EXAMPLES, 0), "implausible_count"),
        (with_number(exchange.NUM_EXAMPLES, -5), "implausible_count"),
        (with_number(exchange.NUM_EXAMPLES, 111), "implausible_count"),
        (with_number(exchange.NUM_EXAMPLES, 50.5), "implausible_count"),
        (with_number(exchange.NUM_EXAMPLES, [100]), "implausible_count"),
    ],
)
def test_a_bad_update_is_set_aside_with_its_reason(fault: Fault, reason: str) -> None:
    setback = verdict(fault)
    assert setback is not None
    assert setback.reason == reason


def test_a_missing_array_is_named() -> None:
    (reply,) = ValueHospitals(rows=[100]).ask("train", plan=PLAN, round_number=2, arrays=SENT)
    del reply.arrays["bn.running_mean"]
    setback = set_aside_update(reply, sent=SENT, plan_digest=PLAN.digest(), round_number=2, declared_rows=100)
    assert setback is not None
    assert "bn.running_mean" in setback.detail


def test_a_few_more_images_than_declared_are_believed() -> None:
    assert verdict(with_number(exchange.NUM_EXAMPLES, 110)) is None


@pytest.mark.parametrize("counts", [[-1, 0, 0, 5], [0.5, 0.5, 1.0, 2.0], 4])
def test_counts_that_cannot_be_counts_are_set_aside(counts: list[int] | list[float] | int) -> None:
    setback = verdict(with_number(exchange.COUNTS_PREFIX + "confusion", counts), kind="evaluate")
    assert setback is not None
    assert setback.reason == "bad_counts"
