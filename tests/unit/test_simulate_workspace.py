"""The output folder of a simulation, as the person who starts it twice sees it."""

from pathlib import Path
from typing import Any

import pytest

from eyebright_common.errors import InputError, OutputInUse
from eyebright_simulations.network.options import SimulationOptions, default_student
from eyebright_simulations.network.workspace import Workspace

OPTIONS = SimulationOptions()


def test_a_second_run_into_the_same_folder_is_refused_and_told_what_to_do(tmp_path: Path) -> None:
    with Workspace.open(tmp_path, OPTIONS):
        pass
    with pytest.raises(OutputInUse, match="--resume to finish it or --force"):
        Workspace.open(tmp_path, OPTIONS)


def test_resume_does_not_repeat_a_finished_stage(tmp_path: Path) -> None:
    calls: list[str] = []

    def work() -> dict[str, Any]:
        calls.append("done")
        return {"images": 3}

    with Workspace.open(tmp_path, OPTIONS) as first:
        first.stage("cohort", work)
    with Workspace.open(tmp_path, OPTIONS, resume=True) as second:
        assert second.stage("cohort", work) == {"images": 3}
        assert second.resumed == ["cohort"]
        assert second.seconds == first.seconds
    assert calls == ["done"]


def test_a_stage_that_failed_half_way_runs_again(tmp_path: Path) -> None:
    def broken() -> dict[str, Any]:
        raise RuntimeError("power cut")

    with Workspace.open(tmp_path, OPTIONS) as first, pytest.raises(RuntimeError, match="power cut"):
        first.stage("teacher", broken)
    with Workspace.open(tmp_path, OPTIONS, resume=True) as second:
        assert second.stage("teacher", lambda: {"ok": True}) == {"ok": True}
        assert second.resumed == []


def test_resume_refuses_another_experiment(tmp_path: Path) -> None:
    with Workspace.open(tmp_path, OPTIONS):
        pass
    with pytest.raises(OutputInUse, match="other options"):
        Workspace.open(tmp_path, SimulationOptions(seed=OPTIONS.seed + 1), resume=True)


def test_force_starts_anew(tmp_path: Path) -> None:
    with Workspace.open(tmp_path, OPTIONS) as first:
        first.stage("cohort", lambda: {"images": 3})
    with Workspace.open(tmp_path, SimulationOptions(seed=99), force=True) as second:
        assert second.stage("cohort", lambda: {"images": 4}) == {"images": 4}


@pytest.mark.parametrize("flags", [{}, {"resume": True}, {"force": True}])
def test_a_folder_with_somebody_elses_files_is_never_touched(tmp_path: Path, flags: dict[str, bool]) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(OutputInUse, match="not a run"):
        Workspace.open(tmp_path, OPTIONS, **flags)
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_two_simulations_never_share_a_folder(tmp_path: Path) -> None:
    with (
        Workspace.open(tmp_path, OPTIONS),
        pytest.raises(OutputInUse, match="another simulation is working"),
    ):
        Workspace.open(tmp_path, OPTIONS, resume=True)


def test_a_file_as_output_folder_is_explained(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("")
    with pytest.raises(InputError, match="--out is not a folder"):
        Workspace.open(tmp_path / "report", OPTIONS)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rounds": 0}, "--rounds is out of range: 0"),
        ({"image_size": 100}, "multiple of 32: 100"),
        ({"image_size": 4096}, "--image-size is out of range: 4096"),
        ({"hospitals": 0}, "--hospitals is out of range: 0"),
        ({"backend": "slurm"}, "Choose one of: local, ray"),
        ({"data": "nowhere.csv"}, "--data does not exist: nowhere.csv"),
        ({"init": "nowhere.safetensors"}, "--init does not exist"),
    ],
)
def test_an_impossible_option_is_named_before_anything_is_computed(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SimulationOptions(**wrong).check()


def test_other_initial_weights_are_another_experiment(tmp_path: Path) -> None:
    weights = tmp_path / "student.safetensors"
    weights.write_bytes(b"one")
    before = SimulationOptions(init=str(weights)).digest()
    weights.write_bytes(b"two")
    assert SimulationOptions(init=str(weights)).digest() != before


def test_the_student_by_default_is_one_that_learns_the_pictures() -> None:
    assert default_student("fundus") == SimulationOptions().student
    assert default_student("oct") == "resnet18"
    assert default_student("oct", init="mobilenet_v2.safetensors") == "mobilenet_v2"
