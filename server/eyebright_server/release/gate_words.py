"""A gate's report in words: the same cells for the terminal, the card, the documents and the page."""

from __future__ import annotations

from eyebright_common.release import GateReport, GateRule
from eyebright_server.release.markdown import table

COLUMNS = ("rule", "found", "allowed", "n", "verdict", "note")


def shown(value: float | str | None) -> str:
    """Return a value as people read it."""
    if value is None:
        return "n/a"
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def verdict_words(rule: GateRule, report: GateReport) -> str:
    """Return a rule's verdict, and what follows from it."""
    if rule.passed:
        return "pass"
    if not rule.blocks:
        return f"{rule.verdict}, does not block"
    overridden = report.override is not None and rule.name in report.override.rules
    return f"{rule.verdict}, {'overridden' if overridden else 'BLOCKS'}"


def rule_cells(rule: GateRule, report: GateReport) -> list[str]:
    """Return the cells of a rule, in the order of ``COLUMNS``."""
    n = "" if rule.n is None else f"{rule.n:,}"
    return [rule.title, shown(rule.value), shown(rule.limit), n, verdict_words(rule, report), rule.note]


def headline(report: GateReport) -> str:
    """Return what the gate says, in one sentence."""
    held = f"policy version {report.policy.version}, profile {report.policy.profile}"
    if report.passed and report.override is not None:
        return f"The gate lets it through, overridden by {report.override.operator} ({held})."
    if report.passed:
        return f"The gate lets it through ({held})."
    rules = ", ".join(dict.fromkeys(rule.title for rule in report.blocking))
    return f"The gate blocks it ({held}): {rules}."


def rule_table(report: GateReport) -> str:
    """Return all rules as a Markdown table."""
    return table(COLUMNS, [rule_cells(rule, report) for rule in report.rules])
