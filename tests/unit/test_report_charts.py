"""Charts put values where they belong, keep labels apart, and draw nothing from nothing."""

import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from eyebright_learning.evaluation import Interval
from eyebright_learning.evaluation.calibration import ReliabilityBin
from eyebright_learning.evaluation.curves import RocPoints
from eyebright_simulations.report import charts
from eyebright_simulations.report.charts.arms import Bar
from eyebright_simulations.report.charts.svg import Scale, apart, element, ticks
from eyebright_simulations.report.evidence import ArmName

_SVG = "{http://www.w3.org/2000/svg}"


def _drawn(markup: str) -> ET.Element:
    return ET.fromstring(markup)


def _texts(markup: str) -> list[str]:
    return [node.text or "" for node in _drawn(markup).iter(f"{_SVG}text")]


def test_text_and_attributes_are_escaped() -> None:
    assert element("text", "<b> & co", class_='a"b') == '<text class="a&#34;b">&lt;b&gt; &amp; co</text>'


def test_a_scale_is_a_straight_line_and_a_point_maps_to_the_middle() -> None:
    assert Scale((0.0, 1.0), (100.0, 0.0))(0.25) == 75.0
    assert Scale((3.0, 3.0), (0.0, 10.0))(3.0) == 5.0


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.0, 1.0, [0.0, 0.5, 1.0]), (1, 30, [10, 20, 30]), (0.3, 0.9, [0.4, 0.6, 0.8]), (2.0, 2.0, [2.0])],
)
def test_ticks_are_round_numbers_inside_the_range(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == expected


def test_labels_are_pushed_apart_and_stay_inside() -> None:
    placed = apart([10.0, 11.0, 98.0, 99.0], 13.0, 0.0, 100.0)
    in_order = sorted(placed)
    assert all(b - a >= 13.0 for a, b in pairwise(in_order))
    assert min(placed) >= 0.0
    assert max(placed) <= 100.0


def _rounds(lines: list[charts.Line], **more: int) -> str:
    return charts.round_chart(lines, label="a", show=lambda v: f"{v:.0%}", share=True, **more)


def test_a_round_without_a_number_leaves_a_gap() -> None:
    whole = _rounds([charts.Line(name="all", values=[0.5, 0.6, 0.7, 0.8], bold=True)])
    broken = _rounds([charts.Line(name="all", values=[0.5, 0.6, None, 0.8, 0.9], bold=True)])
    assert whole.count('class="line bold"') == 1
    assert broken.count('class="line bold"') == 2


def test_forty_hospitals_name_only_the_highest_and_the_lowest() -> None:
    lines = [charts.Line(name=f"site-{i}", values=[0.5, 0.5 + i / 100]) for i in range(40)]
    names = [
        t for t in _texts(_rounds([charts.Line(name="all", values=[0.5, 0.7], bold=True), *lines])) if t[0] in "as"
    ]
    assert names == ["all", "site-0", "site-39"]


def test_six_hospitals_are_all_named_and_a_long_name_is_cut() -> None:
    lines = [charts.Line(name=f"site-{i}", values=[0.5]) for i in range(5)]
    drawn = _texts(_rounds([*lines, charts.Line(name="the hospital by the sea", values=[0.4])]))
    assert {"site-0", "site-4", "the hospital …"} <= set(drawn)


def test_the_released_round_is_marked_only_when_it_is_on_the_chart() -> None:
    line = [charts.Line(name="all", values=[0.5, 0.6], bold=True)]
    assert "released" in _texts(_rounds(line, best_round=2))
    assert "released" not in _texts(_rounds(line, best_round=3))


def test_nothing_is_drawn_from_nothing() -> None:
    assert _rounds([charts.Line(name="all", values=[None, None])]) == ""
    assert charts.roc_chart({}, sensitivity=0.9, specificity=0.8, label="a") == ""
    empty = ReliabilityBin(lower=0.0, upper=1.0, count=0, confidence=None, accuracy=None)
    assert charts.reliability_diagram([empty], label="a") == ""


def test_a_bar_is_as_long_as_its_value_and_its_whisker_spans_the_interval() -> None:
    interval = Interval(lower=0.4, upper=0.6, level=0.95, replicates=9)
    half, full = Bar(arm=ArmName.STUDENT, value=0.5, interval=interval), Bar(arm=ArmName.POOLED, value=1.0)
    drawn = _drawn(charts.arm_bars([half, full], label="a"))
    widths = [float(r.get("width", 0)) for r in drawn.iter(f"{_SVG}rect")]
    assert widths[0] == pytest.approx(widths[1] / 2)
    whisker = next(line for line in drawn.iter(f"{_SVG}line") if line.get("class") == "whisker")
    assert float(whisker.get("x2", 0)) - float(whisker.get("x1", 0)) == pytest.approx(0.2 * widths[1], abs=0.02)


def test_an_arm_without_a_value_says_so_instead_of_a_bar_of_zero() -> None:
    drawn = charts.arm_bars([Bar(arm=ArmName.TEACHER, value=None)], label="a")
    assert "— not measured" in _texts(drawn)
    assert "<rect" not in drawn


def test_a_class_without_pictures_says_so() -> None:
    drawn = charts.recall_dots(["normal", "dme"], {ArmName.STUDENT: {"normal": 0.5, "dme": None}}, label="a")
    assert "— no such pictures" in _texts(drawn)


def test_every_arm_has_a_shape_of_its_own() -> None:
    shapes = {re.sub(r'class="[^"]*"', "", charts.legend_mark(arm)) for arm in ArmName}
    assert len(shapes) == len(ArmName)


def test_the_operating_point_lies_where_its_rates_say() -> None:
    curve = RocPoints(false_positive_rate=(0.0, 1.0), sensitivity=(0.0, 1.0))
    drawn = _drawn(charts.roc_chart({ArmName.STUDENT: curve}, sensitivity=1.0, specificity=1.0, label="a"))
    point = next(c for c in drawn.iter(f"{_SVG}circle") if c.get("class") == "operating")
    grid = [line for line in drawn.iter(f"{_SVG}line") if line.get("class") == "grid"]
    assert float(point.get("cx", 0)) == min(float(line.get("x1", 0)) for line in grid)
    assert float(point.get("cy", 0)) == min(float(line.get("y1", 0)) for line in grid)


def test_a_long_curve_is_thinned_but_keeps_both_ends() -> None:
    shares = tuple(i / 5000 for i in range(5001))
    curve = RocPoints(false_positive_rate=shares, sensitivity=shares)
    drawn = charts.roc_chart({ArmName.TEACHER: curve}, sensitivity=None, specificity=None, label="a")
    steps = re.search(r'd="([^"]*)" class="roc teacher"', drawn)
    assert steps is not None
    corners = re.findall(r"[ML]([\d.]+) ([\d.]+)", steps.group(1))
    assert len(corners) <= 210
    assert (corners[0], corners[-1]) == (("50", "394"), ("426", "30"))


@pytest.mark.parametrize(("share", "filled"), [(0.0, 0), (0.874, 87), (1.0, 100)])
def test_a_rate_fills_as_many_of_a_hundred_dots(share: float, filled: int) -> None:
    drawn = charts.hundred(share, label="a")
    assert (drawn.count('class="full"'), drawn.count('class="hollow"')) == (filled, 100 - filled)
