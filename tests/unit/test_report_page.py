"""The page: complete, self-contained, safe, and standing when parts are missing."""

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from eyebright_common.errors import InputError
from eyebright_simulations.report import BoundaryFlow, Party, ReportEvidence, parse_result, write_report
from eyebright_simulations.report.crossings import crossings, images_out_of_hospitals
from eyebright_simulations.report.hospitals import hospital_rows
from eyebright_simulations.report.page import SECTIONS, render_report
from eyebright_simulations.report.pictures import shown_samples
from fake_result import Rehearsal, rehearsal

_VOID = {"meta", "img", "input", "br", "link", "hr"}


class _Page(HTMLParser):
    """Reads a page; refuses one whose elements do not close in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def _html(made: Rehearsal) -> str:
    return render_report(parse_result(made.result), made.evidence)


@pytest.fixture(scope="module")
def page() -> _Page:
    return _Page(_html(rehearsal()))


def test_it_is_one_file_smaller_than_three_megabytes(tmp_path: Path) -> None:
    made = rehearsal(samples=24)
    write_report(made.result, made.evidence, tmp_path / "report.html")
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").stat().st_size < 3_000_000


def test_it_asks_the_network_for_nothing_and_runs_nothing(page: _Page) -> None:
    assert page.all("script") == page.all("link") == page.all("iframe") == []
    sources = [v for _, a in page.elements for k, v in a.items() if k in ("src", "href", "srcset", "poster", "data")]
    assert sources
    assert all(source is not None and source.startswith(("#", "data:image/")) for source in sources)
    css = _html(rehearsal(samples=0)).partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in css
    assert "@import" not in css


def test_the_notice_stands_at_the_top_and_at_the_bottom(page: _Page) -> None:
    assert page.text.startswith("Eyebright rehearsal")
    first, last = (
        page.text.find("Research use. Not for diagnosis."),
        page.text.rfind("Research use. Not for diagnosis."),
    )
    assert first < page.text.find("In short")
    assert last > page.text.find("Glossary")


def test_every_section_is_there_in_order_and_reachable_from_the_contents(page: _Page) -> None:
    sections = [a["id"] for a in page.all("section")]
    links = [a["href"] for a in page.all("a") if a.get("class") != "skip"]
    assert sections == [name for name, _ in SECTIONS]
    assert links == [f"#{name}" for name in sections]


def test_ids_are_unique_and_every_label_points_to_one(page: _Page) -> None:
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["aria-labelledby"] for a in page.all("section")} <= set(ids)
    assert {a["for"] for a in page.all("label")} <= set(ids)


def test_tables_and_pictures_speak_to_those_who_cannot_see(page: _Page) -> None:
    assert len(page.all("table")) == len(page.all("caption"))
    assert all(a.get("scope") for a in page.all("th"))
    assert all(a.get("alt") for a in page.all("img"))
    assert all(a.get("aria-label") or a.get("aria-hidden") for a in page.all("svg"))


def test_the_same_facts_give_the_same_bytes() -> None:
    assert _html(rehearsal()) == _html(rehearsal())


def test_the_numbers_of_the_result_are_on_the_page(page: _Page) -> None:
    result = parse_result(rehearsal().result)
    for metrics in (result.student.metrics, result.comparison.pooled, result.teacher.metrics):
        assert metrics.balanced_accuracy is not None
        assert f"{100 * metrics.balanced_accuracy:.1f}%" in page.text
    assert result.release.sha256 in page.text
    assert "Pictures that left a hospital 0" in page.text


_HOSTILE = '<script>alert("1")</script>'


def test_names_from_outside_are_shown_as_text_and_never_run() -> None:
    made = rehearsal(names=[_HOSTILE, "St. <b>Mary</b>", "Q & A"])
    made.result["data"]["left_out"] = {_HOSTILE: 3}
    made.result["comparison"]["best_local"]["hospital"] = _HOSTILE
    made.result["release"]["gate"]["rules"][0]["note"] = _HOSTILE
    evidence = dataclasses.replace(made.evidence, notes=[_HOSTILE], setup={_HOSTILE: _HOSTILE}, data_source=_HOSTILE)
    read = _Page(render_report(parse_result(made.result), evidence))
    assert read.all("script") == []
    assert read.all("b") == []
    assert _HOSTILE in read.text
    assert "St. <b>Mary</b>" in read.text


@pytest.mark.parametrize("task", ["fundus", "oct", "oct-neh", "oct-dme"])
def test_every_task_has_a_report(task: str) -> None:
    assert "Federated student" in _Page(_html(rehearsal(task, rounds=2, samples=2))).text


def test_one_hospital_and_one_round_have_no_worst_row() -> None:
    read = _Page(_html(rehearsal(hospitals=1, rounds=1)))
    assert "nothing to federate" in read.text
    assert "worst" not in [a.get("class") for a in read.all("tr")]


def test_forty_hospitals_each_keep_their_row() -> None:
    read = _Page(_html(rehearsal(hospitals=40, rounds=2, samples=0)))
    assert [a.get("class") for a in read.all("tr")].count("worst") == 1
    assert read.text.count("hospital-40") >= 2


def test_without_any_evidence_the_page_stands_and_gives_reasons() -> None:
    made = rehearsal(rounds=0)
    read = _Page(render_report(parse_result(made.result), ReportEvidence(task=made.evidence.task)))
    for reason in (
        "no round was completed",
        "no confusion matrix was kept",
        "a curve needs pictures of both kinds",
        "no confidence bins were kept",
        "not measured at this hospital",
        "no sample was kept",
        "no flow was recorded",
    ):
        assert reason in read.text
    assert "Pictures that left a hospital — not counted" in read.text
    assert "None" not in read.text


def test_undefined_metrics_are_dashes_with_reasons() -> None:
    made = rehearsal(rounds=2)
    blank = {
        "accuracy": None,
        "balanced_accuracy": None,
        "macro_f1": None,
        "macro_auroc": None,
        "recall": dict.fromkeys(made.evidence.task.classes),
        "precision": dict.fromkeys(made.evidence.task.classes),
        "ece": None,
        "referable": {"auroc": None, "sensitivity": None, "specificity": None, "threshold": None},
        "n": 0,
    }
    for place in (made.result["student"], made.result["teacher"], made.result["rounds"][0]):
        place["metrics"] = blank
    made.result["comparison"] = dict.fromkeys(made.result["comparison"], blank)
    made.result["rounds"][1]["metrics"] = None
    made.result["unit"] |= {
        "images_per_second": None,
        "verdicts": {"refer": 0, "no_referral": 0, "ungradable": 0},
        "screened": 0,
    }
    read = _Page(_html(made))
    for reason in ("no threshold", "never answered", "no evaluation came back", "nothing was screened"):
        assert reason in read.text
    assert "None" not in read.text
    assert "nan" not in re.findall(r"\w+", read.text)


def test_a_report_that_breaks_its_schema_is_not_written(tmp_path: Path) -> None:
    made = rehearsal()
    made.result["seed"] = "seven"
    with pytest.raises(InputError, match="seed"):
        write_report(made.result, made.evidence, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_the_worst_hospital_is_the_one_with_the_lowest_balanced_accuracy() -> None:
    made = rehearsal(hospitals=4)
    sites = [
        dataclasses.replace(site, metrics={"balanced_accuracy": value})
        for site, value in zip(made.evidence.sites, (0.9, 0.6, None, 0.8), strict=True)
    ]
    rows = hospital_rows(parse_result(made.result), dataclasses.replace(made.evidence, sites=sites))
    assert [row.worst for row in rows] == [False, True, False, False]


def _flow(sender: Party, receiver: Party, size: int, *, images: int = 0, site: str = "a") -> BoundaryFlow:
    return BoundaryFlow(
        sender=sender, receiver=receiver, what="update", size_bytes=size, count=1, images=images, site=site
    )


def test_flows_of_one_kind_are_added_over_sites_and_directions_kept_apart() -> None:
    up = [_flow(Party.HOSPITAL, Party.OPERATOR, 10, site=s) for s in "abc"]
    down = _flow(Party.OPERATOR, Party.HOSPITAL, 7)
    rows = crossings([*up, down])
    assert [(row.sender, row.size_bytes, row.count, row.sites) for row in rows] == [
        (Party.HOSPITAL, 30, 3, 3),
        (Party.OPERATOR, 7, 1, 1),
    ]


def test_pictures_that_left_a_hospital_are_counted_not_assumed() -> None:
    inward = _flow(Party.OPERATOR, Party.HOSPITAL, 7, images=9)
    assert images_out_of_hospitals([inward]) is None
    assert images_out_of_hospitals([inward, _flow(Party.HOSPITAL, Party.OPERATOR, 7)]) == 0
    leak = [inward, _flow(Party.HOSPITAL, Party.OPERATOR, 7, images=2)]
    assert images_out_of_hospitals(leak) == 2
    made = rehearsal()
    read = _Page(render_report(parse_result(made.result), dataclasses.replace(made.evidence, flows=leak)))
    assert "Pictures that left a hospital 2" in read.text
    assert "without giving a picture away" not in read.text


def test_a_release_that_failed_is_never_called_signed_or_proved() -> None:
    made = rehearsal()
    made.result["release"]["gate"]["passed"] = False
    made.result["unit"]["golden"] |= {"passed": False, "decision_flips": 3}
    read = _Page(_html(made))
    assert "release that the gate holds back" in read.text
    assert "proof FAILED, 3 flips" in read.text
    assert "gate NOT passed" in read.text


def test_sample_pictures_shrink_until_they_fit() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (640, 640, 3), dtype=np.uint8)
    samples = [dataclasses.replace(s, picture=noise, overlay=noise) for s in rehearsal(samples=24).evidence.samples]
    shown = shown_samples(samples)
    assert len(shown) == 24
    assert sum(len(s.picture) + len(s.overlay or "") for s in shown) <= 1_900_000
    assert len({s.width for s in shown}) == 1


def test_a_picture_that_is_not_rgb_is_refused() -> None:
    grey = dataclasses.replace(rehearsal(samples=1).evidence.samples[0], picture=np.zeros((9, 9), dtype=np.uint8))
    with pytest.raises(InputError, match="RGB uint8"):
        shown_samples([grey])


def test_overlays_hide_behind_one_labelled_switch(page: _Page) -> None:
    assert [a["id"] for a in page.all("input")] == ["looked"]
    assert "Show where the model looked" in page.text
    assert "Screening, not diagnosis" in page.text
    assert any(a.get("class") == "overlay" for a in page.all("img"))
