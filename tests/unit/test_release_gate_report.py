"""gate.json: a rule that blocks is named; an override lifts the rules it names and no others."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from eyebright_common.errors import ReleaseError
from eyebright_common.release import GateReport, GateRule, read_gate
from eyebright_common.release.gate_report import Override, PolicyInForce

POLICY = PolicyInForce(version=1, profile="screening", sha256="a" * 64)
GOOD = GateRule(name="parity", value=1e-6, limit=1e-3, verdict="pass")
BAD = GateRule(name="size_budget", value=99.0, limit=32.0, verdict="fail", blocks=True, note="bytes")
WEAK = GateRule(name="site_harm", about="north", value=None, limit=0.05, verdict="insufficient data")


def word(*rules: str) -> Override:
    return Override(operator="E. Kant", reason="the budget is being raised", rules=rules, time="2026-01-01T00:00:00Z")


def test_rules_that_do_not_block_let_the_release_through() -> None:
    report = GateReport.of((GOOD, WEAK), policy=POLICY)
    report.require()
    assert report.passed


def test_one_rule_that_blocks_is_named_with_its_numbers() -> None:
    with pytest.raises(ReleaseError, match=r"size_budget.*99 \(limit 32\) fail"):
        GateReport.of((GOOD, BAD), policy=POLICY).require()


def test_of_many_that_block_the_first_are_told_in_full() -> None:
    rules = tuple(BAD.model_copy(update={"name": f"rule_{n}"}) for n in range(9))
    with pytest.raises(ReleaseError, match=r"rule_8: rule_0 99.*and 5 more"):
        GateReport.of(rules, policy=POLICY).require()


def test_an_override_lifts_the_rules_it_names() -> None:
    assert GateReport.of((GOOD, BAD), policy=POLICY, override=word("size_budget")).passed
    assert not GateReport.of((GOOD, BAD), policy=POLICY, override=word("parity")).passed


@pytest.mark.parametrize("change", [{"operator": ""}, {"reason": "because"}, {"rules": ()}])
def test_an_override_needs_a_name_a_reason_and_a_rule(change: dict) -> None:
    with pytest.raises(ValidationError):
        Override.model_validate({**word("parity").model_dump(), **change})


def test_a_report_reads_back_as_it_was_written(tmp_path: Path) -> None:
    report = GateReport.of((GOOD, BAD, WEAK), policy=POLICY, override=word("size_budget"))
    (tmp_path / "gate.json").write_bytes(report.to_json())
    assert read_gate(tmp_path) == report


def test_a_missing_report_says_which_file(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"gate\.json"):
        read_gate(tmp_path)
