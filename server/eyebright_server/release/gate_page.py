"""``gate.html``: the gate's report as one self-contained page, in the frame of the evaluation's pages."""

from __future__ import annotations

from eyebright_common import __version__
from eyebright_common.release import GateReport, GateRule, Release
from eyebright_server.release.evaluation_page.page import page_environment
from eyebright_server.release.gate_words import headline, rule_cells

# The verdict stands beside its rule: what is furthest right is out of sight on a narrow screen.
_COLUMNS = ("rule", "verdict", "found", "allowed", "n")


def render_gate(release: Release, gate: GateReport) -> str:
    """Return the page of a gate's report, HTML; the same report gives the same bytes."""
    return (
        page_environment()
        .get_template("gate.html.j2")
        .render(
            release=release,
            gate=gate,
            headline=headline(gate),
            columns=_COLUMNS,
            rows=[(_tone(rule), rule_cells(rule, gate)) for rule in gate.rules],
            failed=[rule.title for rule in gate.rules if rule.verdict == "fail" and not rule.blocks],
            code_version=__version__,
            notice=release.notice,
        )
    )


def _tone(rule: GateRule) -> str:
    if rule.passed:
        return "good"
    return "bad" if rule.blocks else "warn"
