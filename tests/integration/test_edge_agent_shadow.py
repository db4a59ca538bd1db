"""A release in shadow looks at a visit's pictures after the answer; nothing of it is shown, only whether it agreed."""

from pathlib import Path

import pytest

from command_line import exit_code
from edge_unit import MORNING, EdgeUnit
from eyebright_common.release import MODEL_FILE
from eyebright_common.release.rollout import Use
from eyebright_common.wire import ShadowAgreement
from eyebright_edge.agent.settings import Trial
from eyebright_edge.agent.trial import shadow_entries
from eyebright_edge.agent.unit_report import unit_facts
from eyebright_edge.agent.update_record import Ending, read_record
from eyebright_edge.records import Journal
from retina_pictures import retina, save_picture
from tiny_release import REFER_BIAS


@pytest.fixture
def unit(tmp_path: Path) -> EdgeUnit:
    made = EdgeUnit(tmp_path)
    made.install("1")
    made.releases.publish("2", bias=REFER_BIAS)
    made.releases.use, made.trial = Use.SHADOW, Trial(visits=1)
    made.agent().update()
    return made


def screen(unit: EdgeUnit, folder: Path) -> int:
    eyes = [save_picture(folder / f"{name}.png", retina(seed=n)) for n, name in enumerate(("right", "left"))]
    return exit_code("edge", "screen", *eyes, "--home", unit.home.root)


def test_the_shadow_disagrees_unseen(unit: EdgeUnit, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert screen(unit, tmp_path) == 0
    shown = capsys.readouterr().out
    assert "NO REFERRAL" in shown
    assert "▲ REFER" not in shown
    assert shadow_entries(unit.home) == [{"release": "2", "shown": "NO REFERRAL", "unseen": "REFER"}]
    assert unit.agent().update().ending is Ending.SHADOWED


def test_a_shadow_that_cannot_answer_disturbs_no_visit_and_is_refused(
    unit: EdgeUnit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (unit.home.release_folder("2") / MODEL_FILE).write_bytes(b"not a network")
    assert screen(unit, tmp_path) == 0
    assert "NO REFERRAL" in capsys.readouterr().out
    assert shadow_entries(unit.home) == [{"release": "2", "shown": "NO REFERRAL", "crashed": True}]
    assert unit.agent().update().ending is Ending.REFUSED
    assert unit.home.serving().release.version == "1"


def test_the_operator_is_told_how_often_it_agreed_and_not_how_it_differed(unit: EdgeUnit) -> None:
    journal = Journal(unit.home.shadow_file)
    for unseen in ("REFER", "NO REFERRAL", "NO REFERRAL", "NO REFERRAL", "NO REFERRAL"):
        journal.append({"release": "2", "shown": "NO REFERRAL", "unseen": unseen})
    unit.agent().update()
    assert unit.agent().update().ending is Ending.UP_TO_DATE
    told = unit.releases.reports[-1].shadow
    assert told == ShadowAgreement(version="2", compared=5, agreed=4)
    assert set(ShadowAgreement.model_fields) == {"version", "compared", "agreed"}


def test_nothing_is_told_of_a_handful_of_visits_nor_while_the_trial_goes_on(unit: EdgeUnit) -> None:
    unit.trial = Trial(visits=100)
    journal = Journal(unit.home.shadow_file)
    for _ in range(50):
        journal.append({"release": "2", "shown": "REFER", "unseen": "REFER"})
    assert unit.agent().update().ending is Ending.WAITING
    facts = unit_facts(unit.home, read_record(unit.home), task="fundus", today=MORNING.date())
    assert facts.shadow is None
    unit.home.shadow_file.unlink()
    for _ in range(4):
        journal.append({"release": "2", "shown": "REFER", "unseen": "REFER"})
    unit.trial = Trial(visits=4)
    unit.agent().update()
    assert unit.releases.reports[-1].shadow is None
