"""What a unit tells the server about itself: counts and states, nothing else.

The message is closed: no field takes free text, unknown fields are refused on both sides, and every word must look
like an identifier. A picture, a file name, a patient or a score has no place to travel in.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from eyebright_common.documents import Document
from eyebright_common.errors import InputError
from eyebright_common.wire.telemetry import Telemetry

LONGEST_REPORT_BYTES = 16_384
Count = Annotated[int, Field(ge=0, le=10**12)]
Word = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,40}$")]


class Verdicts(Document):
    """How many patients got which answer since the release became active."""

    refer: Count = 0
    no_referral: Count = 0
    ungradable: Count = 0


class ShadowAgreement(Document):
    """How often a release that ran unseen gave the word that was shown; told when its trial is over.

    Which way it differed is not told: that would be somebody's answer.

    Attributes:
        version: The release that ran unseen.
        compared: On how many visits.
        agreed: On how many of them both gave the same word.
    """

    version: Word
    compared: Count
    agreed: Count

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.agreed > self.compared:
            raise ValueError("more visits agree than were compared")
        return self


class UnitStatus(Document):
    """The state of one unit.

    Attributes:
        task: Screening task of the active release, if there is one.
        active_version: Its version.
        state: State of the update agent, e.g. ``idle``.
        backend: What runs the student, e.g. ``onnxruntime-cpu``.
        golden_passed: Whether the release proved itself on this unit; None when it was not tried.
        screened: Pictures screened since the release became active.
        verdicts: Patients by answer.
        last_error: Name of the kind of the last error, e.g. ``target-rejected``.
        software: Version of Eyebright on the unit.
        telemetry: Counts by day that the server has not acknowledged yet.
        shadow: Of the last release that ran unseen here; None without one, or of too few visits.
    """

    format: Literal[1] = 1
    task: Word | None = None
    active_version: Word | None = None
    state: Word
    backend: Word | None = None
    golden_passed: bool | None = None
    screened: Count = 0
    verdicts: Verdicts = Verdicts()
    last_error: Word | None = None
    software: Word
    telemetry: Telemetry | None = None
    shadow: ShadowAgreement | None = None


def read_report(text: str) -> UnitStatus:
    """Return the status in ``text``.

    Raises:
        InputError: it is too long, not a status, or has anything besides.
    """
    if len(text) > LONGEST_REPORT_BYTES:
        raise InputError("a unit's report is too long", value=len(text))
    try:
        return UnitStatus.model_validate_json(text)
    except ValidationError as error:
        # Only the count: the error would quote what was sent, and a log is not the place for it.
        raise InputError("a unit's report cannot be read", value=f"{error.error_count()} wrong fields") from None
