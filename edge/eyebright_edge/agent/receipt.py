"""``receipt.json``: what this unit committed, since when, and how it was proven.

It is replaced whole when a release is committed or rolled back. It also remembers the releases that this unit will not
try again by itself: those that failed here, and those that a person rolled back.
"""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field, ValidationError

from eyebright_common.documents import Document
from eyebright_common.durable import write_bytes
from eyebright_common.release import GoldenReport
from eyebright_edge.agent.home import UnitHome


class Proof(Document):
    """How a release did on its golden cases on this machine.

    Attributes:
        runtime: What computed it.
        cases: How many golden cases were run.
        max_abs_logit_difference: Largest difference of any logit; None when an output was not finite.
        tolerance: The limit it was held to.
        decision_flips: Decisions that changed.
        passed: Whether this machine may serve the release.
    """

    runtime: str
    cases: int
    max_abs_logit_difference: float | None
    tolerance: float
    decision_flips: int
    passed: bool

    @classmethod
    def of(cls, report: GoldenReport, runtime: str) -> Proof:
        """Return the part of a golden report that a receipt keeps."""
        difference = report.max_abs_logit_difference
        return cls(
            runtime=runtime,
            cases=report.cases,
            max_abs_logit_difference=None if difference == float("inf") else difference,
            tolerance=report.tolerance,
            decision_flips=report.decision_flips,
            passed=report.passed,
        )


class Installed(Document):
    """A release that serves, or served: its version, the digest of its ``release.json``, since when, proven how."""

    version: str
    sha256: str
    activated_at: AwareDatetime
    proof: Proof | None


class Withheld(Document):
    """A release that this unit does not try again by itself, and why."""

    version: str
    reason: str
    at: AwareDatetime


class Receipt(Document):
    """What is committed.

    Attributes:
        schema_: Version of this file's shape.
        active: The release that serves.
        previous: The one kept to roll back to.
        withheld: Releases not tried again, oldest first.
    """

    schema_: Literal["eyebright.receipt/1"] = Field(default="eyebright.receipt/1", alias="schema")
    active: Installed | None = None
    previous: Installed | None = None
    withheld: tuple[Withheld, ...] = ()

    def installed(self, version: str | None) -> Installed | None:
        """Return what is known about a kept release."""
        return next((one for one in (self.active, self.previous) if one and one.version == version), None)

    def withholds(self, version: str) -> Withheld | None:
        """Return why a version is not tried again, None when it may be."""
        return next((one for one in self.withheld if one.version == version), None)

    def withholding(self, refused: Withheld) -> Receipt:
        """Return the receipt with one more withheld release; the newest reason for a version stands."""
        others = tuple(one for one in self.withheld if one.version != refused.version)
        return self.model_copy(update={"withheld": (*others, refused)})

    def serving(self, installed: Installed | None, *, previous: Installed | None) -> Receipt:
        """Return the receipt after ``installed`` began to serve; it is no longer withheld."""
        others = tuple(one for one in self.withheld if not installed or one.version != installed.version)
        return self.model_copy(update={"active": installed, "previous": previous, "withheld": others})


def read_receipt(home: UnitHome) -> Receipt:
    """Return the receipt; an absent or unreadable one is empty, because screening must not depend on it."""
    try:
        return Receipt.model_validate_json(home.receipt_file.read_bytes())
    except (FileNotFoundError, ValidationError):
        return Receipt()


def write_receipt(home: UnitHome, receipt: Receipt) -> None:
    """Replace the receipt durably."""
    write_bytes(home.receipt_file, receipt.to_json(), mode=0o600)
