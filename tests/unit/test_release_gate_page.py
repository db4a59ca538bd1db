"""gate.html: what failed stands out, and what failed and held nothing back is said beside the verdict."""

from pathlib import Path

from eyebright_common.release import GateReport, GateRule
from eyebright_common.release.gate_report import Override, PolicyInForce
from eyebright_server.release.gate_page import render_gate
from release_folders import write_release

POLICY = PolicyInForce(version=1, profile="rehearsal", sha256="a" * 64)
PASSED = GateRule(name="parity", value=1e-6, limit=1e-3, verdict="pass")
SHOWN = GateRule(name="specificity_floor", value=0.5, limit=0.825, n=80, verdict="fail")
STOPS = GateRule(name="size_budget", value=99.0, limit=32.0, verdict="fail", blocks=True, note="<b>bytes</b>")


def page(tmp_path: Path, *rules: GateRule, override: Override | None = None) -> str:
    return render_gate(write_release(tmp_path / "r"), GateReport.of(rules, policy=POLICY, override=override))


def test_a_failure_that_held_nothing_back_is_said_beside_the_verdict(tmp_path: Path) -> None:
    shown = page(tmp_path, PASSED, SHOWN)
    assert "Failed, and held nothing back: specificity_floor." in shown
    assert '<td class="said warn">fail, does not block</td><td>0.5</td><td>0.825</td><td>80</td>' in shown
    assert '<td class="said good">pass</td>' in shown


def test_a_failure_that_blocks_is_in_the_headline_and_notes_are_text(tmp_path: Path) -> None:
    shown = page(tmp_path, PASSED, STOPS)
    assert "The gate blocks it (policy version 1, profile rehearsal): size_budget." in shown
    assert "held nothing back" not in shown
    assert '<td class="said bad">fail, BLOCKS</td>' in shown
    assert "&lt;b&gt;bytes&lt;/b&gt;" in shown


def test_an_override_is_on_the_page_with_its_name_and_reason(tmp_path: Path) -> None:
    word = Override(operator="E. Kant", reason="the budget rises", rules=("size_budget",), time="2026-01-01T00:00:00Z")
    shown = page(tmp_path, STOPS, override=word)
    assert "overridden by E. Kant" in shown
    assert "E. Kant overrode size_budget on 2026-01-01T00:00:00Z: the budget rises" in shown
