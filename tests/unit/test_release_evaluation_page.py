"""The numbers a reviewer asks for, and the pages that show them, from answers made up for a few hundred patients."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eyebright_common.errors import InputError
from eyebright_common.manifest import Row
from eyebright_common.release import Release
from eyebright_common.tasks import get_task
from eyebright_server.release.evaluation_page import render_evaluation, write_evaluation_page
from eyebright_server.release.reviewing import Review
from eyebright_server.release.tally import Graded, tally
from tiny_release import write_tiny_release

FUNDUS = get_task("fundus")
PLANTED = "SECRET-4711"


def made_up(patients: int = 120, *, seed: int = 0) -> tuple[list[Row], list[Graded | str]]:
    """Two pictures of the right eye and one of the left per patient; every fifteenth picture is ungradable."""
    generator, rows, outcomes = np.random.default_rng(seed), [], []
    for patient in range(patients):
        label = int(generator.integers(4)) if generator.random() < 0.6 else 0
        for eye in "RRL":
            name = f"{PLANTED}-{patient}-{len(rows)}.png"
            rows.append(
                Row(
                    image_path=Path("/data") / name,
                    name=name,
                    modality="CFP",
                    label=FUNDUS.classes[label],
                    patient_id=f"{PLANTED}-{patient}",
                    eye=eye,
                    site=("north", "south", "<b>island</b>")[2 if patient < 5 else patient % 2],
                    camera="" if patient % 3 else "C-1",
                    sex="FM"[patient % 2],
                )
            )
            logits = generator.normal(0, 1, 4).astype(np.float32)
            logits[label] += 2
            outcomes.append(
                "ungradable:too_dark"
                if len(rows) % 15 == 0
                else Graded(logits=logits, quality="good", descriptor=np.zeros(4096, np.float16))
            )
    return rows, outcomes


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return write_tiny_release(tmp_path_factory.mktemp("release") / "1", threshold=0.4)


@pytest.fixture(scope="module")
def result(release: Release) -> dict[str, Any]:
    return counted(release, Review(replicates=100, graded=True))


def counted(release: Release, review: Review) -> dict[str, Any]:
    rows, outcomes = made_up()
    found = tally(rows, outcomes, release=release, task=FUNDUS, left_out={"file_missing": 2}, review=review)
    about = {"task": "fundus", "version": "1", "classes": list(FUNDUS.classes), "model_sha256": "a" * 64}
    return {
        "release": about,
        "data": {"source": f"/data/{PLANTED}/manifest.csv", "digest": "b" * 64, "rows": len(rows)},
        "golden": {"cases": 3, "max_abs_logit_difference": 0.0, "decision_flips": 0},
        **found,
    }


def test_the_same_pictures_are_counted_as_pictures_eyes_and_patients(result: dict[str, Any]) -> None:
    counts = {name: unit["n"] for name, unit in result["statistics"].items()}
    # 24 of 360 pictures are ungradable, each the only one of a left eye.
    assert counts == {"picture": 336, "eye_worst": 216, "eye_mean": 216, "patient_worst": 120, "patient_mean": 120}


def test_every_statistic_has_an_interval_around_it(result: dict[str, Any]) -> None:
    for unit in result["statistics"].values():
        for name, found in unit["estimates"].items():
            assert found["lower"] <= found["value"] <= found["upper"], name


def test_the_usual_metrics_and_the_statistics_agree(result: dict[str, Any]) -> None:
    found, usual = result["statistics"]["picture"]["estimates"], result["overall"]
    assert found["balanced_accuracy"]["value"] == pytest.approx(usual["balanced_accuracy"])
    assert found["ece"]["value"] == pytest.approx(usual["ece"])
    assert found["recall.glaucoma"]["value"] == pytest.approx(usual["recall"]["glaucoma"])
    for name in ("auroc", "sensitivity", "specificity"):
        assert found[f"referable.{name}"]["value"] == pytest.approx(usual["referable"][name])
    assert result["intervals"]["macro_auroc"] == [found["macro_auroc"]["lower"], found["macro_auroc"]["upper"]]


def test_strata_cover_every_picture_once_per_fact(result: dict[str, Any]) -> None:
    facts = {part["by"] for part in result["strata"]}
    assert facts == {"site", "camera", "sex", "eye", "quality"}  # nobody wrote an age band down
    for fact in facts:
        assert sum(part["images"] for part in result["strata"] if part["by"] == fact) == 336
    north = next(part for part in result["strata"] if part["name"] == "north")
    assert north["estimates"]["balanced_accuracy"]["value"] == pytest.approx(
        result["sites"]["north"]["balanced_accuracy"]
    )


def test_a_stratum_of_few_patients_is_named_but_not_measured(result: dict[str, Any]) -> None:
    island = next(part for part in result["strata"] if "island" in part["name"])
    assert (island["groups"], island["measured"], island["estimates"]) == (5, False, None)


def test_copies_under_two_names_count_as_one_patient(release: Release) -> None:
    rows, outcomes = made_up(40)
    stripes = np.random.default_rng(0).normal(0, 1, 4096)
    same = (stripes / np.linalg.norm(stripes)).astype(np.float16)
    for index in (0, 30):  # first pictures of patients 0 and 10
        one = outcomes[index]
        assert isinstance(one, Graded)
        outcomes[index] = Graded(logits=one.logits, quality=one.quality, descriptor=same)
    found = tally(rows, outcomes, release=release, task=FUNDUS, left_out={}, review=Review(replicates=0))
    assert found["bootstrap"]["groups"] == 39
    assert found["duplicates"] == {"clusters": 1, "images": 2, "cross_patient_clusters": 1}


def test_curves_hold_rates_and_counts(result: dict[str, Any]) -> None:
    curves = result["curves"]
    assert np.sum(curves["confusion"]) == sum(one["count"] for one in curves["reliability"]) == 336
    for end in ("false_positive_rate", "sensitivity"):
        assert (curves["roc"][end][0], curves["roc"][end][-1]) == (0.0, 1.0)
        assert curves["roc"][end] == sorted(curves["roc"][end])


def test_no_patient_and_no_file_is_in_the_numbers_or_on_the_page(result: dict[str, Any]) -> None:
    numbers = {name: value for name, value in result.items() if name != "data"}
    assert PLANTED not in json.dumps(numbers)
    assert PLANTED not in render_evaluation(result)


class Reader(HTMLParser):
    """What a browser would build, and would ask for."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.asked: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.asked += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag not in {"meta", "br", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_asks_for_nothing(result: dict[str, Any]) -> None:
    reader = Reader()
    reader.feed(render_evaluation(result))
    assert (reader.open, reader.asked) == ([], [])
    assert "script" not in reader.tags
    assert reader.tags.count("svg") == 2


def test_what_a_manifest_calls_a_site_is_escaped(result: dict[str, Any]) -> None:
    page = render_evaluation(result)
    assert "<b>island" not in page
    assert "&lt;b&gt;island&lt;/b&gt;" in page


def test_the_page_shows_figures_with_their_ranges_and_says_what_was_not_measured(result: dict[str, Any]) -> None:
    page = render_evaluation(result)
    auroc = result["statistics"]["picture"]["estimates"]["referable.auroc"]
    assert f'{auroc["value"]:.3f}<small class="range">{auroc["lower"]:.3f} to {auroc["upper"]:.3f}</small>' in page
    for words in ("Quadratic kappa", "Best sensitivity at 90% specificity", "fewer than 20 patients: not measured"):
        assert words in page
    assert re.search(r"<th scope=\"row\">5%</th>", page)


def test_a_page_without_intervals_or_curve_can_be_written(release: Release, tmp_path: Path) -> None:
    rows, outcomes = made_up(3)
    healthy = [Row(**{**{f: getattr(row, f) for f in Row.__slots__}, "label": "normal"}) for row in rows]
    found = tally(healthy, outcomes, release=release, task=FUNDUS, left_out={}, review=Review(replicates=0))
    whole = {**counted(release, Review(replicates=0)), **found}
    write_evaluation_page(whole, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "A curve needs pictures to be referred" in page
    assert "No intervals were asked for" in page
    assert not re.search(r"\bnan\b", page)


def test_the_same_result_gives_the_same_page(result: dict[str, Any]) -> None:
    assert render_evaluation(result) == render_evaluation(json.loads(json.dumps(result)))


def test_a_stratum_of_one_patient_cannot_be_asked_for() -> None:
    with pytest.raises(InputError, match="at least two patients"):
        Review(min_patients=1)
