"""Whatever is published and whenever power goes, a unit serves a release that it has proven."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_unit import EdgeUnit
from eyebright_edge.agent.receipt import read_receipt
from eyebright_edge.agent.transitions import State
from eyebright_edge.agent.update import Moment


class PowerCut(BaseException):
    """Stands for the end of the process."""


POWER_GOES = st.none() | st.tuples(st.sampled_from(State), st.sampled_from(Moment))
DAYS = st.lists(st.tuples(st.sampled_from(["good", "bad", "nothing", "rollback"]), POWER_GOES), max_size=5)


@settings(max_examples=12, deadline=None)
@given(DAYS)
def test_a_unit_never_stops_screening_and_never_serves_what_it_has_not_proven(
    tmp_path_factory: pytest.TempPathFactory, days: list[tuple[str, tuple[State, Moment] | None]]
) -> None:
    unit = EdgeUnit(tmp_path_factory.mktemp("unit"))
    unit.install("1")
    good = {"1"}
    for version, (event, power_goes) in enumerate(days, start=2):
        if event in ("good", "bad"):
            unit.releases.publish(str(version), wrong_by=0.0 if event == "good" else 0.5)
        if event == "good":
            good.add(str(version))
        _live_one_day(unit, event, power_goes)
        serving = unit.home.serving()
        assert serving.release.version in good
        assert serving.notice == ""
    unit.agent().update()
    receipt = read_receipt(unit.home)
    assert receipt.active is not None
    assert receipt.active.version == unit.home.active_version()
    assert receipt.active.proof is not None
    assert len(unit.home.kept()) <= 2


def _live_one_day(unit: EdgeUnit, event: str, power_goes: tuple[State, Moment] | None) -> None:
    def pull_the_plug(state: State, moment: Moment) -> None:
        if (state, moment) == power_goes:
            raise PowerCut

    agent = unit.agent(pull_the_plug, offline=event == "rollback")
    try:
        if event == "rollback" and read_receipt(unit.home).previous is not None:
            agent.roll_back()
        elif event != "rollback":
            agent.update()
    except PowerCut:
        pass
