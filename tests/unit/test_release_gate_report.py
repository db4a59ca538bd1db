"""gate.json: one failed rule blocks, and is named."""

from pathlib import Path

import pytest

from eyebright_common.errors import ReleaseError
from eyebright_common.release import GateReport, GateRule, read_gate

GOOD = GateRule(name="parity", value=1e-6, limit=1e-3, passed=True)
BAD = GateRule(name="size_budget", value=99.0, limit=32.0, passed=False, note="bytes")


def test_rules_that_all_pass_let_the_release_through() -> None:
    report = GateReport.of((GOOD,))
    report.require()
    assert report.passed


def test_one_failed_rule_blocks_and_is_named() -> None:
    with pytest.raises(ReleaseError, match=r"size_budget.*99\.0 \(limit 32\.0\)"):
        GateReport.of((GOOD, BAD)).require()


def test_a_report_reads_back_as_it_was_written(tmp_path: Path) -> None:
    report = GateReport.of((GOOD, BAD))
    (tmp_path / "gate.json").write_bytes(report.to_json())
    assert read_gate(tmp_path) == report


def test_a_missing_report_says_which_file(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"gate\.json"):
        read_gate(tmp_path)
