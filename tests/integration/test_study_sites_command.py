"""`eyebright study sites` end to end, on a few drawn patients: no leak, one job once, and going on after a kill."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from command_line import exit_code, run_command
from eyebright_common.tasks import get_task
from eyebright_simulations.cohorts import SiteSpec, generate
from eyebright_simulations.cohorts.fundus import camera_style
from eyebright_simulations.study.folds import HeldOut
from eyebright_simulations.study.pictures import load_sites, load_table
from eyebright_simulations.study.records import held_out_job, read_predictions
from eyebright_simulations.study.sites_result import SitesResult, read_sites_result

SMALL = ("--image-size", 32, "--epochs", 1, "--replicates", 100, "--batch-size", 8, "--folds", 2)
Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    mix = dict.fromkeys(get_task("fundus").classes, 1.0)
    sites = [
        SiteSpec(name=name, style=camera_style(number), patients=24, label_mix=mix)
        for number, name in enumerate(("clinic", "mobile van"))
    ]
    return generate("fundus", tmp_path_factory.mktemp("drawn") / "cohort", seed=3, sites=sites, image_size=128)


def rewritten(manifest: Path, name: str, change: Callable[[Rows], Rows]) -> Path:
    with manifest.open(newline="") as file:
        rows = change(list(csv.DictReader(file)))
    other = manifest.with_name(name)
    with other.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return other


def camp_of_one_class(rows: Rows) -> Rows:
    """Move every glaucoma of the van to a camp of its own, and forget where two pictures are from."""
    for row in rows:
        if row["site"] == "mobile van" and row["label"] == "glaucoma":
            row["site"] = "camp"
    for row in [row for row in rows if row["site"] == "clinic"][:2]:
        row["site"] = ""
    return rows


@pytest.mark.slow
def test_sites_are_held_out_one_by_one_and_a_kill_loses_one_job(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = rewritten(manifest, "camp.csv", camp_of_one_class), tmp_path / "study"
    words = ("study", "sites", "--data", source, *SMALL, "--out", out)
    code, printed, _ = run_command(capsys, *words)
    assert code == 0
    assert "CANNOT BE TOLD at camp: every picture there is glaucoma" in " ".join(printed.split())
    result = read_sites_result(out / "result.json")
    assert [row.site for row in result.rows] == ["all sites", "camp", "clinic", "mobile van"]
    assert result.data.left_out["without_site"] == 2
    assert result.everywhere.tested == result.data.images == sum(row.tested for row in result.sites)
    assert result.sites[0].verdict == "cannot be told"
    assert_nobody_saw_the_site(out)
    assert_names_nobody(out, source)

    # A kill leaves a job without its facts, which are written last.
    killed = held_out_job("ce", HeldOut(by="site", number=1), 0)
    kept = held_out_job("ce", HeldOut(by="fold", number=0), 0)
    first, untouched = read_predictions(out, killed).probabilities, (out / "jobs" / f"{kept}.json").stat().st_mtime_ns
    (out / "jobs" / f"{killed}.json").unlink()
    code, printed, _ = run_command(capsys, *words, "--resume", "--json")
    assert code == 0
    assert np.array_equal(read_predictions(out, killed).probabilities, first)
    assert (out / "jobs" / f"{kept}.json").stat().st_mtime_ns == untouched
    again = SitesResult.model_validate_json(printed)
    assert again.rows == result.rows
    assert again.findings == result.findings

    code, _, problem = run_command(capsys, *words)
    assert code == 2
    assert "already holds a run" in problem
    code, _, problem = run_command(capsys, *words, "--resume", "--learning-rate", 0.1)
    assert code == 2
    assert "started with other options: learning_rate" in problem


def assert_nobody_saw_the_site(out: Path) -> None:
    _, groups, _ = load_table(out)
    names, site_of = load_sites(out)
    for number in range(len(names)):
        student = read_predictions(out, held_out_job("ce", HeldOut(by="site", number=number), 0))
        assert np.array_equal(student.test, np.flatnonzero(site_of == number))
        learned = np.concatenate([student.train, student.validation])
        assert set(groups[learned].tolist()).isdisjoint(groups[student.test].tolist())


def assert_names_nobody(out: Path, source: Path) -> None:
    with source.open(newline="") as file:
        rows = list(csv.DictReader(file))
    published = (out / "result.json").read_text() + (out / "table.md").read_text()
    for row in rows:
        assert row["patient_id"] not in published
        assert Path(row["image_path"]).name not in published


@pytest.mark.slow
def test_a_shuffled_manifest_gives_the_same_answers_and_more_folds_can_be_asked_for(
    manifest: Path, tmp_path: Path
) -> None:
    def shuffled(rows: Rows) -> Rows:
        random.Random(1).shuffle(rows)
        return rows

    found = []
    for number, source in enumerate((manifest, rewritten(manifest, "shuffled.csv", shuffled))):
        out = tmp_path / str(number)
        assert exit_code("study", "sites", "--data", source, *SMALL, "--max-folds", 1, "--out", out) == 0
        found.append(read_sites_result(out / "result.json"))
    assert found[0].rows == found[1].rows
    assert found[0].everywhere.tested < found[0].data.images
    assert any("Only 1 of 2 folds" in finding for finding in found[0].findings)

    out = tmp_path / "0"
    site = out / "jobs" / f"{held_out_job('ce', HeldOut(by='site', number=0), 0)}.json"
    untouched = site.stat().st_mtime_ns
    assert exit_code("study", "sites", "--data", manifest, *SMALL, "--out", out, "--resume") == 0
    wider = read_sites_result(out / "result.json")
    assert wider.everywhere.tested == wider.data.images
    assert site.stat().st_mtime_ns == untouched


@pytest.mark.parametrize(
    ("sites", "problem"),
    [
        ({"clinic": "clinic", "mobile van": "clinic"}, "needs pictures of at least two sites: clinic"),
        ({"clinic": "", "mobile van": ""}, "needs pictures of at least two sites: no picture has a site"),
        ({"clinic": "all sites", "mobile van": "van"}, "a site cannot be called so"),
    ],
)
def test_without_two_sites_there_is_one_clear_error(
    manifest: Path,
    sites: dict[str, str],
    problem: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = rewritten(manifest, "few.csv", lambda rows: [row | {"site": sites[row["site"]]} for row in rows])
    code, _, printed = run_command(capsys, "study", "sites", "--data", source, *SMALL, "--out", tmp_path / "out")
    assert code == 2
    assert problem in printed
    assert not (tmp_path / "out" / "result.json").exists()


def test_patients_at_every_site_leave_nobody_to_learn_from(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def torn(rows: Rows) -> Rows:
        seen: dict[str, int] = {}
        for row in rows:
            seen[row["patient_id"]] = seen.get(row["patient_id"], 0) + 1
            row["site"] = "left" if seen[row["patient_id"]] % 2 else "right"
        return [row for row in rows if seen[row["patient_id"]] > 1]

    source = rewritten(manifest, "torn.csv", torn)
    code, _, printed = run_command(capsys, "study", "sites", "--data", source, *SMALL, "--out", tmp_path / "out")
    assert code == 2
    assert "with site 1 (by name) held out there would be" in printed


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--folds", 1), "--folds must be at least 2"),
        (("--student", "magic"), "unknown student: magic"),
        (("--recipe", "soup"), "unknown recipe: soup"),
        (("--init", "/no/such/weights"), "--init does not exist"),
        (("--data", "/no/such/manifest.csv"), "--data does not exist"),
        (("--teacher", "test_vit"), "No such option '--teacher'"),
        (("--seeds", 2), "No such option '--seeds'"),
    ],
)
def test_what_cannot_work_is_one_clear_error(
    words: tuple[object, ...], problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, printed = run_command(capsys, "study", "sites", *words, "--out", tmp_path / "out")
    assert code == 2
    assert problem in printed
    assert not (tmp_path / "out").exists()
