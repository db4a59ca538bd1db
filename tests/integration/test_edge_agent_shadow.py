"""A release in shadow looks at a visit's pictures after the answer; nothing of it is shown, only whether it agreed."""

from pathlib import Path

import pytest

from command_line import exit_code
from edge_unit import EdgeUnit
from eyebright_common.release import MODEL_FILE
from eyebright_common.release.rollout import Use
from eyebright_edge.agent.settings import Trial
from eyebright_edge.agent.trial import shadow_entries
from eyebright_edge.agent.update_record import Ending
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
