"""`eyebright simulate` as a person runs it: to the end, a second time, with wrong input, killed half-way."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from eyebright_common.release import read_release
from eyebright_learning.models import build_student, save_weights
from eyebright_simulations.cohorts import default_sites, generate
from eyebright_simulations.report import read_result

SMALL = ("--rounds", "2", "--local-epochs", "1", "--image-size", "64", "--seed", "5")
pytestmark = pytest.mark.slow


def eyebright(*arguments: str | Path, check: int | None = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "eyebright_common", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    if check is not None:
        assert done.returncode == check, done.stderr
    return done


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    patients = {"operator": 36, "hospital-1": 24, "hospital-2": 24}
    sites = [replace(site, patients=patients[site.name]) for site in default_sites(2)]
    return generate("fundus", folder / "cohort", seed=3, sites=sites, image_size=160)


@pytest.fixture(scope="module")
def run(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "out"
    done = eyebright("simulate", "--data", manifest, *SMALL, "--out", out, "--json")
    assert json.loads(done.stdout) == json.loads((out / "result.json").read_text())
    return out


def test_a_run_ends_with_a_report_a_result_and_a_release_that_holds(run: Path) -> None:
    result = read_result(run / "result.json")
    assert [record.round for record in result.rounds] == [1, 2]
    assert [hospital.name for hospital in result.data.hospitals] == ["hospital-1", "hospital-2"]
    release = read_release(run / "releases" / "fundus" / "1")
    assert release.version == result.unit.active_release == "1"
    assert result.unit.golden.decision_flips == 0
    assert result.unit.screened == sum(
        picture["split"] == "test" and picture["holder"] >= 0
        for picture in json.loads((run / "work" / "pictures.json").read_text())["pictures"]
    )
    assert "Research use. Not for diagnosis." in (run / "report.html").read_text()


def test_every_row_of_the_manifest_is_used_or_counted(run: Path, manifest: Path) -> None:
    data = read_result(run / "result.json").data
    rows = len(manifest.read_text().splitlines()) - 1
    assert data.images + sum(data.left_out.values()) == rows


def test_no_patient_is_in_two_places(run: Path) -> None:
    places: dict[str, set[tuple[int, str]]] = {}
    for picture in json.loads((run / "work" / "pictures.json").read_text())["pictures"]:
        places.setdefault(picture["patient"], set()).add((picture["holder"], picture["split"]))
    assert all(len(place) == 1 for place in places.values())


def test_no_patient_or_file_is_named_in_what_leaves_a_site(run: Path) -> None:
    named = re.compile(rb"(operator|hospital-[12])-\d{4}|_[RL]\.jpg")
    leaving = [
        run / "report.html",
        run / "result.json",
        run / "server" / "records.sqlite",
        *(path for path in (run / "releases").rglob("*") if path.is_file()),
        *(path for path in (run / "server" / "repository").rglob("*") if path.is_file()),
        *(path for path in (run / "arms").glob("*/rounds/**/*") if path.is_file()),
    ]
    assert len(leaving) > 12
    for path in leaving:
        assert named.search(path.read_bytes()) is None, path


def test_a_second_run_into_the_same_folder_is_refused(run: Path, manifest: Path) -> None:
    done = eyebright("simulate", "--data", manifest, *SMALL, "--out", run, check=2)
    assert "--resume to finish it or --force to start anew" in done.stderr


def test_resuming_a_finished_run_repeats_nothing_and_says_the_same(run: Path, manifest: Path) -> None:
    before = (run / "result.json").read_bytes()
    done = eyebright("simulate", "--data", manifest, *SMALL, "--out", run, "--resume")
    assert done.stderr.count("already done") == 6
    assert (run / "result.json").read_bytes() == before


def test_a_stranger_can_evaluate_the_release_of_a_run(run: Path, manifest: Path) -> None:
    done = eyebright("evaluate", "--release", run, "--data", manifest, "--json")
    found = json.loads(done.stdout)
    assert set(found["sites"]) == {"operator", "hospital-1", "hospital-2"}
    assert found["overall"]["n"] == read_result(run / "result.json").data.images


def test_given_weights_begin_the_first_student_and_the_teacher(manifest: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    save_weights(build_student("mobilenet_v2", classes=1000, seed=4), weights)
    eyebright("simulate", "--data", manifest, *SMALL, "--rounds", "1", "--init", weights, "--out", tmp_path / "out")
    result = read_result(tmp_path / "out" / "result.json")
    assert result.teacher.arch == "ensemble:mobilenet_v2+hybrid_mobilenet_v2_tiny"
    first, given = (
        build_student("mobilenet_v2", classes=4, seed=5, weights=file).state_dict()["features.0.0.weight"]
        for file in (tmp_path / "out" / "teacher" / "first_student.safetensors", weights)
    )
    apart = float((first - given).abs().max())
    assert 0.0 < apart < float(given.abs().max()), "it began with the weights given, and learnt"
    assert "pre-trained on its share" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "nowhere.csv"), "--data does not exist: nowhere.csv"),
        (("--task", "knee"), "unknown task: knee"),
        (("--partition", "random"), "unknown partition: random"),
        (("--teacher", "vit_tiny_pach16_224"), "Did you mean: vit_tiny_patch16_224"),
        (("--student", "mobilenet"), "unknown student"),
    ],
)
def test_wrong_input_gets_one_clear_line(
    manifest: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    given = () if "--data" in arguments else ("--data", manifest)
    done = eyebright("simulate", *given, *SMALL, *arguments, "--out", tmp_path / "out", check=2)
    assert message in done.stderr.replace("\n", " ")


@pytest.mark.kill
def test_a_run_killed_in_its_rounds_goes_on_and_ends_like_one_that_was_not(
    run: Path, manifest: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "eyebright_common", "simulate", "--data", manifest, *SMALL, "--out", out]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log, start_new_session=True)
    first_round = out / "arms" / "federated" / "rounds" / "federation.json"
    deadline = time.monotonic() + 600
    while not first_round.exists():
        assert process.poll() is None, (tmp_path / "log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    eyebright("simulate", "--data", manifest, *SMALL, "--out", out, "--resume")
    straight, resumed = (read_result(folder / "result.json") for folder in (run, out))
    assert resumed.student.metrics == straight.student.metrics
    assert resumed.comparison == straight.comparison
