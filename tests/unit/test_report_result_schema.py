"""``result.json`` is what the issue of facts promises: this shape and no other."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eyebright_common.errors import InputError
from eyebright_simulations.report import RESULT_SCHEMA, parse_result, read_result, write_result
from fake_result import rehearsal


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    written = write_result(path, rehearsal().result)
    assert read_result(path) == written


def test_the_file_holds_exactly_what_was_given(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    given = rehearsal().result
    write_result(path, given)
    assert json.loads(path.read_text()) == given
    assert json.loads(path.read_text())["schema"] == RESULT_SCHEMA


def test_extras_that_nobody_gave_are_not_in_the_file(tmp_path: Path) -> None:
    given = rehearsal().result
    del given["data"]["duplicates"]
    del given["comparison"]["best_local"]["hospital"]
    given["unit"]["golden"] = {"max_abs_logit_difference": 0.0, "decision_flips": 0}
    write_result(tmp_path / "result.json", given)
    assert json.loads((tmp_path / "result.json").read_text()) == given


def _set(value: Any, *path: Any) -> Callable[[dict[str, Any]], None]:
    def change(result: dict[str, Any]) -> None:
        place: Any = result
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_set("eyebright.simulation-result/2", "schema"), "schema"),
        (_set(1, "surprise"), "surprise"),
        (_set(float("nan"), "student", "metrics", "accuracy"), "student.metrics.accuracy"),
        (_set(np.int64(4), "rounds", 0, "participants"), "rounds.0.participants"),
        (_set("3", "unit", "screened"), "unit.screened"),
        (_set(1.2, "teacher", "metrics", "ece"), "teacher.metrics.ece"),
        (_set("abc", "release", "sha256"), "release.sha256"),
        (_set([], "data", "hospitals"), "data.hospitals"),
        (_set({"normal": 1.0}, "comparison", "pooled", "recall"), "comparison.pooled names other classes"),
        (_set({"normal": 1.0}, "rounds", 1, "metrics", "precision"), "rounds[2].metrics names other classes"),
    ],
)
def test_anything_else_is_refused_by_name_and_nothing_is_written(
    change: Callable[[dict[str, Any]], None], named: str, tmp_path: Path
) -> None:
    result = rehearsal().result
    change(result)
    with pytest.raises(InputError) as refusal:
        write_result(tmp_path / "result.json", result)
    assert named in str(refusal.value)
    assert not (tmp_path / "result.json").exists()


def test_a_missing_key_is_named() -> None:
    result = rehearsal().result
    del result["unit"]["golden"]["decision_flips"]
    with pytest.raises(InputError, match=r"unit\.golden\.decision_flips"):
        parse_result(result)


def test_a_metric_may_be_undefined_and_a_round_may_have_no_metrics() -> None:
    result = rehearsal().result
    result["rounds"][0]["metrics"] = None
    result["student"]["metrics"]["macro_auroc"] = None
    parsed = parse_result(result)
    assert parsed.rounds[0].metrics is None
    assert parsed.student.metrics.macro_auroc is None


def test_a_file_that_is_no_result_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("{}")
    with pytest.raises(InputError, match="no readable simulation result"):
        read_result(path)
