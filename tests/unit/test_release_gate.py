"""The gate: every rule blocks, and what was not measured has failed."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from eyebright_common.release import GateRule, compare
from eyebright_server.release.gate import Findings, PreviousRelease, judge
from eyebright_server.release.parity import Parity
from release_folders import golden_cases, threshold

GOLDEN = golden_cases()


def measured(sensitivity: Any = 0.9, specificity: Any = 0.8, balanced: Any = 0.7, n: Any = 200) -> dict[str, Any]:
    return {
        "balanced_accuracy": balanced,
        "referable": {"sensitivity": sensitivity, "specificity": specificity},
        "n": n,
    }


GOOD = Findings(
    lint=(),
    size_bytes=9_000_000,
    parity=Parity(pictures=8, max_abs_logit_difference=1e-5, max_abs_cam_difference=1e-4, source_logits=GOLDEN.logits),
    golden=compare(GOLDEN.logits, GOLDEN),
    threshold=threshold(),
    metrics=measured(),
    previous=PreviousRelease(version="1", metrics=measured()),
)


def rule(findings: Findings, name: str) -> GateRule:
    return next(r for r in judge(findings).rules if r.name == name)


def failed(findings: Findings) -> list[str]:
    return [r.name for r in judge(findings).rules if not r.passed]


def test_a_good_candidate_passes_every_rule() -> None:
    report = judge(GOOD)
    assert report.passed
    assert {r.name for r in report.rules} == {
        "lint",
        "size_budget",
        "parity",
        "golden_flips",
        "threshold_from_validation",
        "not_worse_sensitivity",
        "not_worse_specificity",
        "not_worse_balanced_accuracy",
    }


def test_a_finding_of_the_linter_blocks_and_is_quoted() -> None:
    findings = replace(GOOD, lint=("opset 18",))
    assert failed(findings) == ["lint"]
    assert rule(findings, "lint").note == "opset 18"


def test_a_file_over_the_budget_blocks() -> None:
    assert failed(replace(GOOD, size_budget_bytes=8_999_999)) == ["size_budget"]


@pytest.mark.parametrize(("difference", "names"), [(1e-3, []), (1.1e-3, ["parity"]), (float("inf"), ["parity"])])
def test_parity_blocks_above_a_thousandth(difference: float, names: list[str]) -> None:
    assert failed(replace(GOOD, parity=replace(GOOD.parity, max_abs_logit_difference=difference))) == names


def test_a_decision_that_changed_in_the_export_blocks() -> None:
    assert failed(replace(GOOD, golden=compare(-GOLDEN.logits, GOLDEN))) == ["golden_flips"]


def test_a_must_refer_case_that_is_not_referred_blocks() -> None:
    missed = golden_cases(must_refer=np.array([False, True, False]))
    assert failed(replace(GOOD, golden=compare(missed.logits, missed))) == ["golden_flips"]


@pytest.mark.parametrize("split", ["test", "train", "Validation", "pooled"])
def test_a_threshold_chosen_elsewhere_than_on_validation_blocks(split: str) -> None:
    assert failed(replace(GOOD, threshold=threshold(split=split))) == ["threshold_from_validation"]


def test_a_threshold_chosen_without_a_picture_to_refer_blocks() -> None:
    given = threshold()
    blind = given.model_copy(update={"provenance": given.provenance.model_copy(update={"positives": 0})})
    assert failed(replace(GOOD, threshold=blind)) == ["threshold_from_validation"]


def test_the_first_release_is_not_compared_and_says_so() -> None:
    findings = replace(GOOD, previous=None)
    assert judge(findings).passed
    assert rule(findings, "not_worse_sensitivity").note == "no previous release"


@pytest.mark.parametrize(
    ("now", "names"),
    [
        (measured(sensitivity=0.87), []),
        (measured(sensitivity=0.869), ["not_worse_sensitivity"]),
        (measured(specificity=0.75), []),
        (measured(specificity=0.749), ["not_worse_specificity"]),
        (measured(balanced=0.67), []),
        (measured(balanced=0.669), ["not_worse_balanced_accuracy"]),
        (measured(sensitivity=0.84, specificity=1.0), ["not_worse_sensitivity"]),
    ],
)
def test_a_drop_beyond_the_margin_blocks_and_one_at_the_margin_does_not(now: dict, names: list[str]) -> None:
    assert failed(replace(GOOD, metrics=now)) == names


def test_what_was_not_measured_has_failed() -> None:
    assert failed(replace(GOOD, metrics=measured(sensitivity=None))) == ["not_worse_sensitivity"]
    assert len(failed(replace(GOOD, metrics={}))) == 3


def test_a_comparison_with_a_release_that_was_not_measured_has_failed() -> None:
    before = PreviousRelease(version="4", metrics=measured(specificity=None))
    findings = replace(GOOD, previous=before)
    assert failed(findings) == ["not_worse_specificity"]
    assert "release 4" in rule(findings, "not_worse_specificity").note


def test_a_comparison_on_other_pictures_has_failed() -> None:
    before = PreviousRelease(version="4", metrics=measured(n=199))
    assert len(failed(replace(GOOD, previous=before))) == 3
