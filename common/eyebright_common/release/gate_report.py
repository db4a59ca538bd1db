"""``gate.json``: every rule a release was held to, with what was found and what was allowed.

* A rule that could not be measured has no value and has not passed: missing data fails closed.
* A rule that does not apply (no release before this one) passes and its note says why.
* One failed rule blocks the release.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError

from eyebright_common.documents import StrictDocument
from eyebright_common.errors import ReleaseError
from eyebright_common.release.schema import GATE_FILE

GATE_SCHEMA: Literal["eyebright.gate/1"] = "eyebright.gate/1"


class GateRule(StrictDocument):
    """One rule.

    Attributes:
        name: Stable snake_case word.
        value: What was found; None when it could not be measured or does not apply.
        limit: What was allowed.
        passed: Whether it may ship as far as this rule goes.
        n: On how many cases it was measured, where that matters.
        note: For people.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    value: float | str | None
    limit: float | str | None
    passed: bool
    n: int | None = None
    note: str = ""


class GateReport(StrictDocument):
    """All rules of a release and whether it passed them."""

    schema_: Literal["eyebright.gate/1"] = Field(alias="schema")
    passed: bool
    rules: tuple[GateRule, ...] = Field(min_length=1)

    @classmethod
    def of(cls, rules: tuple[GateRule, ...]) -> Self:
        """Return the report of these rules; it passes when all of them do."""
        return cls(schema_=GATE_SCHEMA, passed=all(rule.passed for rule in rules), rules=rules)

    def require(self) -> None:
        """Do nothing when every rule passed.

        Raises:
            ReleaseError: one did not; the message names each.
        """
        failed = [rule for rule in self.rules if not rule.passed]
        if failed:
            raise ReleaseError(
                f"the gate blocks this release, failed: {', '.join(rule.name for rule in failed)}",
                value="; ".join(f"{r.name} {r.value} (limit {r.limit}) {r.note}".strip() for r in failed),
                fix="The release before it stays active. Find the cause before the next round; a rule is never edited.",
            )


def read_gate(folder: Path) -> GateReport:
    """Return the gate report of the release in ``folder``.

    Raises:
        ReleaseError: there is none, or it is not one.
    """
    path = folder / GATE_FILE
    try:
        return GateReport.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ReleaseError("release has no readable gate report", value=path, fix="Build the release again.") from error
