"""The gate: each rule answers pass, fail or insufficient data, and the policy says which of these block."""

from dataclasses import replace
from typing import Any

import pytest

from eyebright_common.errors import InputError
from eyebright_common.release import GateRule, VariantFacts
from eyebright_common.release.evidence import MustRefer, Outcomes
from eyebright_common.release.gate_report import Override
from eyebright_server.release.gate import FileFindings, Findings, VariantFindings, judge, withheld
from eyebright_server.release.policy import gate_policy, parse_policy
from gate_evidence import MODEL, TASK, against, outcomes, site
from release_folders import threshold

POLICY = gate_policy()
FILES = FileFindings(
    lint=(),
    size_bytes=9_000_000,
    parity_pictures=8,
    max_abs_logit_difference=1e-5,
    max_abs_cam_difference=1e-4,
    golden_cases=12,
    golden_flips=0,
    golden_must_refer=MustRefer(cases=3, missed=0),
    same_weight_names=True,
)
COMPARED = {"incumbent": against("4"), "first": against("1")}
GOOD = Findings(
    task=TASK,
    files=FILES,
    model_sha256=MODEL,
    threshold=threshold(),
    evidence=(site("north", against=COMPARED), site("south", against=COMPARED)),
    incumbent="4",
    first="1",
    looks=2,
)


def rules(findings: Findings, name: str, policy=POLICY) -> list[GateRule]:
    return [rule for rule in judge(findings, policy).rules if rule.name == name]


def rule(findings: Findings, name: str, about: str = "", policy=POLICY) -> GateRule:
    (found,) = [one for one in rules(findings, name, policy) if about in one.about]
    return found


def blocking(findings: Findings, policy=POLICY) -> list[str]:
    return [one.name for one in judge(findings, policy).blocking]


def with_site(**changes: Any) -> Findings:
    """One site alone, changed."""
    return replace(GOOD, evidence=(site(**{"against": COMPARED, **changes}),))


def variant(**changes: Any) -> VariantFindings:
    facts: dict[str, Any] = {
        "precision": "int8",
        "file": "model.int8.onnx",
        "size_bytes": 10,
        "size_ratio": 0.3,
        "pictures": 100,
        "max_abs_logit_difference": 0.1,
        "max_abs_score_difference": 0.05,
        "mean_abs_score_difference": 0.01,
        "changed_decisions": 2,
        "changed_outside_band": 1,
        "golden_tolerance": 0.3,
        "milliseconds_per_picture": 1.0,
        "speed_ratio": 2.0,
    }
    return VariantFindings(facts=VariantFacts(**{**facts, **changes}), lint=())


def test_a_good_candidate_passes_every_rule_that_can_block() -> None:
    report = judge(GOOD, POLICY)
    assert report.passed
    assert [r.title for r in report.rules if not r.passed] == ["unit_camera"]


def test_every_rule_of_the_policys_lists_exists() -> None:
    known = {r.name for r in judge(replace(GOOD, files=replace(FILES, variants=(variant(),))), POLICY).rules}
    known |= {"variant_fp16", "variant_fp16_decisions"}
    for name in ("screening", "strict", "rehearsal"):
        policy = gate_policy(name)
        listed = {*policy.profile.advisory, *policy.profile.missing_data_blocks}
        assert listed | policy.never_overridden | policy.never_blocks <= known


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"lint": ("opset 18",)}, "lint"),
        ({"size_bytes": 64 << 21}, "size_budget"),
        ({"max_abs_logit_difference": 1.1e-3}, "parity"),
        ({"max_abs_logit_difference": None}, "parity"),
        ({"golden_flips": 1}, "golden_flips"),
        ({"golden_must_refer": MustRefer(cases=3, missed=1)}, "must_refer"),
        ({"golden_must_refer": MustRefer(cases=0, missed=0)}, "must_refer"),
        ({"same_weight_names": False}, "weight_names"),
    ],
)
def test_a_broken_file_blocks_and_is_named(change: dict[str, Any], name: str) -> None:
    assert blocking(replace(GOOD, files=replace(FILES, **change))) == [name]


@pytest.mark.parametrize("split", ["test", "train", "Validation", "pooled"])
def test_a_threshold_chosen_elsewhere_than_on_validation_blocks(split: str) -> None:
    assert blocking(replace(GOOD, threshold=threshold(split=split))) == ["threshold_from_validation"]


def test_a_threshold_chosen_without_a_picture_to_refer_blocks() -> None:
    given = threshold()
    blind = given.model_copy(update={"provenance": given.provenance.model_copy(update={"positives": 0})})
    assert blocking(replace(GOOD, threshold=blind)) == ["threshold_from_validation"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"mean_abs_score_difference": 0.03}, "mean score difference 0.0300"),
        ({"changed_outside_band": 2}, "2 decisions change, 2 of them clear"),
        ({"changed_decisions": 4}, "4 decisions change, 1 of them clear"),
        ({"precision": "fp16", "max_abs_score_difference": 0.03}, "largest score difference 0.0300"),
    ],
)
def test_a_bad_variant_is_withheld_by_name_and_the_release_is_not(change: dict[str, Any], why: str) -> None:
    report = judge(replace(GOOD, files=replace(FILES, variants=(variant(**change),))), POLICY)
    assert report.passed
    assert why in str(withheld(report, change.get("precision", "int8")))


def test_the_referrals_that_a_variant_changes_are_a_line_of_their_own() -> None:
    findings = replace(GOOD, files=replace(FILES, variants=(variant(changed_decisions=3),)))
    found = rule(findings, "variant_int8_decisions")
    assert (found.value, found.limit, found.n, found.verdict) == (0.03, 0.03, 100, "pass")  # 3 of 100 pictures
    assert found.note == "3 decisions change, 1 of them clear"
    assert withheld(judge(findings, POLICY), "int8") is None


def test_the_limit_that_a_variant_breaks_is_the_one_shown() -> None:
    findings = replace(GOOD, files=replace(FILES, variants=(variant(changed_outside_band=2),)))
    found = rule(findings, "variant_int8_decisions")
    assert (found.value, found.limit, found.verdict) == (0.02, 0.01, "fail")


def test_a_variant_that_fails_twice_says_both() -> None:
    bad = variant(mean_abs_score_difference=0.03, changed_decisions=9)
    report = judge(replace(GOOD, files=replace(FILES, variants=(bad,))), POLICY)
    said = "withheld: mean score difference 0.0300, allowed 0.0200; 9 decisions change, 1 of them clear"
    assert withheld(report, "int8") == said


def test_a_variant_that_was_not_made_does_not_ship() -> None:
    assert withheld(judge(GOOD, POLICY), "int8") == "it was not made"


def test_evidence_of_validation_or_of_another_file_blocks() -> None:
    assert blocking(with_site(split="validation")) == ["held_out"]
    assert blocking(with_site(model_sha256=None)) == ["shipped_file"]
    assert blocking(with_site(threshold=0.4)) == ["shipped_file"]


def test_without_evidence_the_default_profile_blocks_and_a_rehearsal_does_not() -> None:
    bare = replace(GOOD, evidence=(), incumbent=None, first=None, looks=None)
    assert {"sensitivity_floor", "sensitivity_bound", "held_out"} <= set(blocking(bare))
    assert blocking(bare, gate_policy("rehearsal")) == []
    assert rule(bare, "sensitivity_floor", policy=gate_policy("rehearsal")).verdict == "insufficient data"


@pytest.mark.parametrize(
    ("found", "verdicts"),
    [
        (outcomes(0.93, 0.91), ("pass", "pass")),
        (outcomes(0.86, 0.91), ("pass", "pass")),  # 172 of 200: from 0.805
        (outcomes(0.855, 0.91), ("pass", "fail")),  # 171 of 200: from 0.799, and 200 are enough to say
        (outcomes(0.84, 0.91), ("fail", "fail")),
        (outcomes(0.90, 0.91, positives=40), ("pass", "insufficient data")),
        (outcomes(1.00, 0.91, positives=29), ("insufficient data", "pass")),
        (outcomes(0.40, 0.91, positives=29), ("insufficient data", "fail")),
        (outcomes(0.00, 0.91, positives=0), ("insufficient data", "insufficient data")),
    ],
)
def test_floor_and_bound_answer_by_their_n(found: Outcomes, verdicts: tuple[str, str]) -> None:
    findings = with_site(outcomes=found)
    assert (rule(findings, "sensitivity_floor").verdict, rule(findings, "sensitivity_bound").verdict) == verdicts


def test_a_strict_profile_wants_a_higher_bound() -> None:
    findings = with_site(outcomes=outcomes(0.88, 0.95))
    assert rule(findings, "sensitivity_bound").verdict == "pass"
    assert rule(findings, "sensitivity_bound", policy=gate_policy("strict")).verdict == "fail"


def test_ungradable_cases_count_as_referred_and_are_shown() -> None:
    findings = with_site(outcomes=outcomes(0.93, 0.91, ungradable_positive=20, ungradable_negative=80))
    assert rule(findings, "specificity_floor").verdict == "pass"
    assert rule(findings, "pipeline_specificity").value == pytest.approx(273 / 380)
    assert rule(findings, "pipeline_sensitivity").value == pytest.approx(206 / 220)
    assert blocking(findings) == ["pipeline_specificity"]


def test_too_many_ungradable_cases_block() -> None:
    assert "ungradable_share" in blocking(with_site(outcomes=outcomes(0.93, 0.99, ungradable_positive=300)))


@pytest.mark.parametrize(
    ("comparison", "verdict"),
    [
        (against("4", positives=400), "pass"),
        (against("4", positives=400, missed=16, found=16), "pass"),
        (against("4", positives=400, missed=24, found=8), "fail"),  # 4 % lost
        (against("4", positives=400, missed=12, found=2), "fail"),  # 2.5 % lost: may be more than 3 %
        (against("4", positives=60), "insufficient data"),
        (against("4", positives=60, missed=6), "fail"),
        (against("3", positives=400), "insufficient data"),  # compared with another release than the incumbent
    ],
)
def test_noninferiority_is_paired_and_answers_by_its_n(comparison: Any, verdict: str) -> None:
    findings = with_site(against={"incumbent": comparison, "first": against("1")})
    assert rule(findings, "noninferior_sensitivity", "incumbent").verdict == verdict
    assert rule(findings, "noninferior_sensitivity", "first").verdict == "pass"


def test_small_losses_do_not_add_up_because_the_first_release_stays() -> None:
    drifted = {"incumbent": against("4", missed=4, found=2), "first": against("1", missed=24, found=6)}
    found = [r.title for r in judge(with_site(against=drifted), POLICY).blocking]
    assert found == ["noninferior_sensitivity (first, release 1)"]


def test_sensitivity_down_by_six_hundredths_at_one_site_is_harm_there() -> None:
    hurt = {"incumbent": against("4", positives=100, missed=8, found=2), "first": against("1")}
    big = {"incumbent": against("4", positives=2000), "first": against("1")}
    findings = replace(GOOD, evidence=(site("north", against=big), site("south", against=hurt)))
    assert [r.title for r in judge(findings, POLICY).blocking] == ["site_harm (south)"]
    assert rule(findings, "site_harm", "south").value == pytest.approx(0.06)


def test_a_small_site_cannot_say_whether_it_is_harmed_and_holds_nothing_back() -> None:
    small = {"incumbent": against("4", positives=29, missed=6), "first": against("1")}
    big = {"incumbent": against("4", positives=2000), "first": against("1")}
    findings = replace(GOOD, evidence=(site("north", against=big), site("south", against=small)))
    assert rule(findings, "site_harm", "south").verdict == "insufficient data"
    assert judge(findings, POLICY).passed


def test_the_first_release_is_compared_with_nothing_and_says_so() -> None:
    findings = replace(GOOD, evidence=(site(),), incumbent=None, first=None)
    assert judge(findings, POLICY).passed
    assert {r.note for r in rules(findings, "noninferior_sensitivity")} == {"no release before it"}


def test_a_part_with_low_sensitivity_blocks_and_is_named() -> None:
    parts = {"sex": {"F": outcomes(0.7, 0.9), "M": outcomes(0.95, 0.9)}, "camera": {"a": outcomes(0, 0, positives=5)}}
    findings = with_site(parts=parts)
    assert [r.title for r in judge(findings, POLICY).blocking] == ["parts (sex)"]
    assert "'F'" in rule(findings, "parts", "sex").note
    assert rule(findings, "parts", "camera").verdict == "insufficient data"


def test_parts_of_several_sites_are_added_up() -> None:
    half = {"sex": {"F": outcomes(0.9, 0.9, positives=15, negatives=15)}}
    findings = replace(GOOD, evidence=tuple(site(n, parts=half, against=COMPARED) for n in ("north", "south")))
    assert rule(findings, "parts", "sex").n == 30


def test_scores_that_are_far_too_sure_fail_calibration() -> None:
    from eyebright_learning.evaluation.counts import EvaluationCounts

    sure = EvaluationCounts.of(
        [[0.97, 0.01, 0.01, 0.01], [0.01, 0.97, 0.01, 0.01]] * 200, [0, 1, 1, 0] * 100, task=TASK
    )
    findings = with_site(counts={name: tuple(values) for name, values in sure.to_dict().items()})
    assert blocking(findings) == ["calibration_error", "calibration_slope"]


def test_the_slope_of_calibrated_scores_is_about_one() -> None:
    assert rule(GOOD, "calibration_slope").value == pytest.approx(1.0, abs=0.2)


def test_a_case_that_a_site_marked_and_the_file_misses_blocks() -> None:
    assert blocking(with_site(must_refer=MustRefer(cases=5, missed=1))) == ["must_refer"]


def test_cameras_of_units_have_a_line_of_their_own_and_count_nowhere_else() -> None:
    handheld = site("van", unit_camera=True, outcomes=outcomes(0.6, 0.6))
    findings = replace(GOOD, evidence=(*GOOD.evidence, handheld))
    assert rule(findings, "unit_camera").verdict == "fail"
    assert rule(findings, "sensitivity_floor").value == rule(GOOD, "sensitivity_floor").value
    assert judge(findings, POLICY).passed


@pytest.mark.parametrize(("level", "names"), [("weak", []), ("strong", ["shortcut_audit"]), (None, ["shortcut_audit"])])
def test_data_that_can_be_passed_without_the_retina_block(level: str | None, names: list[str]) -> None:
    assert blocking(with_site(shortcut=level)) == names


def test_test_data_that_were_looked_at_too_often_block() -> None:
    assert blocking(replace(GOOD, looks=11)) == ["test_looks"]


def test_an_override_lifts_a_rule_but_not_one_about_a_broken_file() -> None:
    def word(*names: str) -> Override:
        return Override(operator="E. Kant", reason="agreed with the board", rules=names, time="2026-01-01T00:00:00Z")

    findings = replace(GOOD, looks=11)
    assert judge(findings, POLICY, override=word("test_looks")).passed
    with pytest.raises(InputError, match="never overridden: parity"):
        judge(findings, POLICY, override=word("parity"))


@pytest.mark.parametrize("text", [b"{", b'{"schema": "eyebright.gate-policy/2"}'])
def test_a_damaged_policy_is_refused(text: bytes) -> None:
    with pytest.raises(InputError, match="policy cannot be read"):
        parse_policy(text, "screening")


def test_an_unknown_profile_names_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"lax.*screening, strict, rehearsal"):
        gate_policy("lax")
