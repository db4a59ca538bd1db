"""Which release is for which unit: the same answer everywhere, and never one that goes down."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright_common.errors import InputError, ReleaseError
from eyebright_common.release.rollout import (
    DEFAULT_RINGS,
    Assignment,
    Ring,
    Rollout,
    control_limits,
    decide,
    parse_rings,
    parse_rollout,
    place_of,
    rollout_numbers,
)

RINGS = (
    Ring(name="shadow", kind="shadow", share=0.1, wait_hours=1.0),
    Ring(name="canary", kind="serve", share=0.2, wait_hours=1.0),
    Ring(name="rest", kind="serve", share=0.7, wait_hours=0.0),
)
UNITS = [f"unit-{n}" for n in range(400)]


def rollout(**changes: object) -> Rollout:
    fields = {
        "task": "fundus",
        "number": 1,
        "version": "3",
        "before": "2",
        "seed": "s",
        "rings": RINGS,
        "opened": 1,
        "state": "open",
    }
    return Rollout.model_validate({**fields, **changes})


def unit_of(ring: int) -> str:
    return next(unit for unit in UNITS if rollout().ring_of(unit) == ring)


def test_shares_are_kept_and_every_unit_has_one_ring() -> None:
    found = [rollout().ring_of(unit) for unit in UNITS]
    assert [found.count(ring) / len(UNITS) for ring in range(3)] == pytest.approx([0.1, 0.2, 0.7], abs=0.05)


def test_another_seed_makes_others_go_first() -> None:
    first = {unit for unit in UNITS if rollout(seed="s").ring_of(unit) == 0}
    assert first != {unit for unit in UNITS if rollout(seed="t").ring_of(unit) == 0}


def test_the_default_rings_hold_every_unit() -> None:
    assert sum(ring.share for ring in DEFAULT_RINGS) == pytest.approx(1.0)
    assert None not in {rollout(rings=DEFAULT_RINGS, opened=0).ring_of(unit) for unit in UNITS}


@pytest.mark.parametrize(
    ("changes", "ring", "active", "wanted"),
    [
        ({}, 0, "2", Assignment(serve="2", shadow="3")),
        ({}, 1, "2", Assignment(serve="3")),
        ({}, 2, "2", Assignment(serve="2")),
        ({"opened": 0}, 1, "2", Assignment(serve="2")),
        ({"state": "paused"}, 1, "2", Assignment(serve="2")),
        ({"state": "paused"}, 1, "3", Assignment(serve="3")),
        ({"state": "paused"}, 0, "2", Assignment(serve="2")),
        ({"state": "done"}, 2, "2", Assignment(serve="3")),
        ({"before": None}, 2, None, Assignment(serve=None)),
        ({}, 2, "3", Assignment(serve="3")),  # it has it already: going back is a higher version
    ],
)
def test_what_is_for_a_unit(changes: dict, ring: int, active: str | None, wanted: Assignment) -> None:
    assert decide(rollout(**changes), ["1", "2", "3"], unit=unit_of(ring), active=active) == wanted


def test_without_a_rollout_the_newest_is_for_everybody() -> None:
    assert decide(None, ["1", "10", "9"], unit="u", active="1") == Assignment(serve="10")
    assert decide(None, [], unit="u", active=None) == Assignment(serve=None)


def test_a_release_that_no_rollout_speaks_of_waits() -> None:
    assert decide(rollout(state="done"), ["2", "3", "4"], unit="u", active="3") == Assignment(serve="3")


def test_a_rollout_of_a_release_that_is_not_there_yet_changes_nothing() -> None:
    assert decide(rollout(), ["1", "2"], unit=unit_of(1), active="2") == Assignment(serve="2")


@given(unit=st.text(min_size=1, max_size=20), seed=st.text(min_size=1, max_size=10))
def test_opening_rings_only_ever_adds_units(unit: str, seed: str) -> None:
    has = [
        decide(rollout(seed=seed, opened=opened), ["2", "3"], unit=unit, active="2").serve == "3" for opened in range(3)
    ]
    assert has == sorted(has)
    assert 0.0 <= place_of("fundus", seed, unit) < 1.0


def test_a_rollout_comes_back_from_its_own_file() -> None:
    assert parse_rollout(rollout().to_json()) == rollout()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rings": [r.model_dump() for r in (*RINGS, RINGS[0])]}, "same name"),
        ({"rings": [{**RINGS[0].model_dump(), "share": 0.9}, *(r.model_dump() for r in RINGS[1:])]}, "more than 1"),
        ({"opened": 3}, "not one of the rings"),
        ({"before": "3"}, "newer than the one before"),
        ({"task": "../x"}, "task"),
        ({"number": 0}, "number"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_rollout_that_breaks_a_rule_is_refused(changes: dict, words: str) -> None:
    import json

    text = json.dumps({**rollout().model_dump(mode="json"), **changes})
    with pytest.raises(ReleaseError, match=words):
        parse_rollout(text.encode())


@given(st.binary(max_size=300))
def test_any_bytes_are_a_rollout_or_a_clear_error(data: bytes) -> None:
    with pytest.raises(ReleaseError):
        parse_rollout(data)


def test_the_newest_rollout_is_found_among_target_names() -> None:
    names = ["rollouts/fundus/10.json", "rollouts/fundus/9.json", "rollouts/oct/11.json", "rollouts/fundus/x.json"]
    assert rollout_numbers(names, "fundus") == [9, 10]


def test_rings_can_be_written_in_one_line() -> None:
    assert parse_rings("shadow:shadow:0.1:1,canary:serve:0.2:1, rest:serve:0.7:0") == RINGS
    assert parse_rings("a:serve:1:2.5:40")[0].least_patients == 40


@pytest.mark.parametrize("text", ["", "a", "a:serve:2:1", "a:sometimes:0.1:1", "a:serve:x:1", "A:serve:0.1:1"])
def test_rings_that_cannot_be_read_say_how_to_write_them(text: str) -> None:
    with pytest.raises(InputError, match="NAME:shadow"):
        parse_rings(text)


def test_control_limits_are_three_deviations_of_a_difference() -> None:
    limits = control_limits(299, 998, 100)  # (299 + 1) / (998 + 2) = 0.3
    spread = 3 * (0.3 * 0.7 * (1 / 100 + 1 / 1000)) ** 0.5
    assert (limits.centre, limits.lower, limits.upper) == pytest.approx((0.3, 0.3 - spread, 0.3 + spread))
    assert control_limits(0, 10, 5).lower == 0.0
