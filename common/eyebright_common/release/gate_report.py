"""``gate.json``: every rule a release was held to, with what was found, what was allowed, on how many, and the verdict.

* A verdict is ``pass``, ``fail`` or ``insufficient data``. The last is an answer of its own: the rule was asked, and
  there were too few cases to say.
* Whether a verdict holds the release back is the policy's to say, not the reader's: the policy's version, profile and
  digest stand in the report, and each rule says whether it ``blocks``. A rule that could not be measured has no value
  and has not passed.
* A blocking rule can be overridden by a person with a name and a reason, for the rules that the override names and the
  policy allows. The verdict stays what it was; the override stands beside it, here, on the card and in the ledger.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError

from eyebright_common.documents import StrictDocument
from eyebright_common.errors import ReleaseError
from eyebright_common.release.schema import GATE_FILE, Sha256

GATE_SCHEMA: Literal["eyebright.gate/2"] = "eyebright.gate/2"

_MOST_NAMED = 4

GateVerdict = Literal["pass", "fail", "insufficient data"]
RuleName = str


class GateRule(StrictDocument):
    """One rule.

    Attributes:
        name: Stable snake_case word.
        about: Which hospital, part or release it is about; empty for all of them together.
        value: What was found; None when it could not be measured or does not apply.
        limit: What was allowed; None where nothing is limited.
        verdict: What follows from the two.
        blocks: Whether that holds the release back.
        n: On how many cases it was measured, where that matters.
        note: For people.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    about: str = ""
    value: float | str | None
    limit: float | str | None
    verdict: GateVerdict
    blocks: bool = False
    n: int | None = None
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether it was measured and holds."""
        return self.verdict == "pass"

    @property
    def title(self) -> str:
        """Its name and what it is about."""
        return f"{self.name} ({self.about})" if self.about else self.name


class PolicyInForce(StrictDocument):
    """Which policy a release was held to: version and profile, and the digest of the file."""

    version: int = Field(ge=1)
    profile: str = Field(min_length=1)
    sha256: Sha256


class Override(StrictDocument):
    """A person's word against a rule.

    Attributes:
        operator: Who.
        reason: Why.
        rules: The rules that were overridden.
        time: When, ISO 8601, UTC.
    """

    operator: str = Field(min_length=2, max_length=120)
    reason: str = Field(min_length=10, max_length=2000)
    rules: tuple[RuleName, ...] = Field(min_length=1)
    time: str = Field(min_length=10)


class GateReport(StrictDocument):
    """All rules of a release, the policy they are from, and whether it may ship."""

    schema_: Literal["eyebright.gate/2"] = Field(alias="schema")
    passed: bool
    policy: PolicyInForce
    rules: tuple[GateRule, ...] = Field(min_length=1)
    override: Override | None = None

    @classmethod
    def of(cls, rules: tuple[GateRule, ...], *, policy: PolicyInForce, override: Override | None = None) -> Self:
        """Return the report of these rules; it passes when every rule that blocks is overridden, or none does."""
        forgiven = set(override.rules) if override else set()
        passed = all(rule.name in forgiven for rule in rules if rule.blocks)
        return cls(schema_=GATE_SCHEMA, passed=passed, policy=policy, rules=rules, override=override)

    @property
    def blocking(self) -> tuple[GateRule, ...]:
        """The rules that hold the release back, or would without the override."""
        return tuple(rule for rule in self.rules if rule.blocks)

    def require(self) -> None:
        """Do nothing when the release may ship.

        Raises:
            ReleaseError: it may not; the message names each rule.
        """
        if self.passed:
            return
        found = [f"{r.title} {_number(r.value)} (limit {_number(r.limit)}) {r.verdict}" for r in self.blocking]
        more = f"; and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
        raise ReleaseError(
            f"the gate blocks this release: {', '.join(dict.fromkeys(rule.title for rule in self.blocking))}",
            value="; ".join(found[:_MOST_NAMED]) + more,
            fix="The release before it stays active. Find the cause before the next round; a rule is never edited.",
        )


def read_gate(source: Path) -> GateReport:
    """Return the gate report of a release's folder, or in a file.

    Raises:
        ReleaseError: there is none, or it is not one.
    """
    path = source / GATE_FILE if source.is_dir() else source
    try:
        return GateReport.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ReleaseError("release has no readable gate report", value=path, fix="Build the release again.") from error


def _number(value: float | str | None) -> str:
    return "n/a" if value is None else value if isinstance(value, str) else f"{value:.4g}"
