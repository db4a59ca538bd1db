"""Numbers and names on the page read as a clinician writes them."""

import pytest

from eyebright_learning.evaluation import Interval
from eyebright_simulations.report import words


def _interval(lower: float, upper: float) -> Interval:
    return Interval(lower=lower, upper=upper, level=0.95, replicates=500)


@pytest.mark.parametrize(
    ("share", "shown"), [(0.8734, "87.3%"), (0.0, "0.0%"), (1.0, "100.0%"), (0.99951, "100.0%"), (None, "—")]
)
def test_a_share_is_a_percentage_with_one_decimal_and_a_missing_one_a_dash(share: float | None, shown: str) -> None:
    assert words.percent(share) == shown


@pytest.mark.parametrize(
    ("difference", "shown"),
    [(0.042, "+4.2 points"), (-0.0126, "\u22121.3 points"), (0.0004, "±0.0 points"), (-0.0004, "±0.0 points")],
)
def test_a_difference_is_signed_points_and_none_too_small_to_see_has_a_direction(difference: float, shown: str) -> None:
    assert words.points(difference) == shown


def test_an_interval_is_shown_at_the_precision_of_its_number() -> None:
    assert words.interval(_interval(0.8123, 0.9041)) == "81.2 to 90.4%"
    assert words.difference_interval(_interval(-0.01, 0.074)) == "\u22121.0 to +7.4"
    assert words.interval(None) == words.difference_interval(None) == ""


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_960, "1.0 MB"),
        (9_320_000, "9.3 MB"),
        (2_000_000_000, "2.0 GB"),
    ],
)
def test_a_size_never_shows_a_thousand_of_a_smaller_unit(size: int, shown: str) -> None:
    assert words.size(size) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0, "0.0 s"), (59.94, "59.9 s"), (59.97, "1 min 00 s"), (192.4, "3 min 12 s"), (3600.0, "1 h 00 min")],
)
def test_a_time_never_shows_sixty_of_a_smaller_unit(seconds: float, shown: str) -> None:
    assert words.duration(seconds) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (3.1e-6, "3.1 \u00d7 10⁻⁶"),
        (8_921_447, "8,921,447"),
        (-0.01, "\u22120.01"),
        (0.0, "0"),
        ("opset 13", "opset 13"),
        (None, "—"),
    ],
)
def test_a_gate_value_keeps_three_digits_and_whole_numbers_stay_whole(value: float | str | None, shown: str) -> None:
    assert words.decimal(value) == shown


@pytest.mark.parametrize(
    ("word", "title", "middle"),
    [
        ("diabetic_retinopathy", "Diabetic retinopathy", "diabetic retinopathy"),
        ("cnv", "CNV", "CNV"),
        ("label_not_in_task:old_scar", "Label not in task: old scar", "label not in task: old scar"),
        ("", "", ""),
    ],
)
def test_a_snake_case_word_becomes_plain_words(word: str, title: str, middle: str) -> None:
    assert (words.plain(word), words.in_words(word)) == (title, middle)


def test_things_are_counted_with_their_noun() -> None:
    assert [words.counted(n, "hospital") for n in (0, 1, 1200)] == ["0 hospitals", "1 hospital", "1,200 hospitals"]
    assert words.listed(["a"]) == "a"
    assert words.listed(["a", "b", "c"]) == "a, b and c"


def test_a_metric_is_found_by_its_path_or_is_missing() -> None:
    metrics = {"referable": {"sensitivity": 0.9, "auroc": None}}
    assert words.metric_at(metrics, "referable.sensitivity") == 0.9
    assert words.metric_at(metrics, "referable.auroc") is None
    assert words.metric_at(metrics, "ece") is None
    assert words.metric_at(None, "ece") is None
