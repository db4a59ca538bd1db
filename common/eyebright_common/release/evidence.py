"""What the gate is told of a candidate, hospital by hospital: counts, and nothing a count is not.

* A hospital, or the operator on data of its own, runs the candidate's file at the candidate's threshold through the
  imaging code of a unit, and returns this document. It names a site, never a patient, a picture or a score.
* ``outcomes`` and ``parts`` count patients where the file itself was run (one patient is one fact; the decision is the
  visit's), and pictures where only the rounds' validation counts are known; ``unit`` says which.
* An ungradable case is counted apart: with its truth, because the quality gate and the student are judged together.
* ``against`` counts how often candidate and an older release disagree on the same patients: all that a paired test
  needs.
* ``counts`` are the ``EvaluationCounts`` of the gradable pictures; calibration is judged on them.
* Parts (sex, camera, …) smaller than the site's own floor are left out by the site.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from eyebright_common.documents import StrictDocument, problems_of
from eyebright_common.errors import InputError
from eyebright_common.release.schema import Sha256

EVIDENCE_SCHEMA: Literal["eyebright.gate-evidence/1"] = "eyebright.gate-evidence/1"

Count = Annotated[int, Field(ge=0, le=10**9)]
ShortcutLevel = Literal["none", "weak", "strong", "class_is_source"]


class Outcomes(StrictDocument):
    """How cases ended, against what is true of them."""

    true_positive: Count = 0
    false_negative: Count = 0
    false_positive: Count = 0
    true_negative: Count = 0
    ungradable_positive: Count = 0
    ungradable_negative: Count = 0

    def __add__(self, other: Outcomes) -> Outcomes:
        """Return the counts of both together."""
        return Outcomes(**{name: getattr(self, name) + getattr(other, name) for name in Outcomes.model_fields})

    @property
    def positives(self) -> int:
        """Gradable cases to be referred."""
        return self.true_positive + self.false_negative

    @property
    def negatives(self) -> int:
        """Gradable cases not to be referred."""
        return self.true_negative + self.false_positive

    @property
    def ungradable(self) -> int:
        """Cases nobody can grade."""
        return self.ungradable_positive + self.ungradable_negative

    @property
    def n(self) -> int:
        """All cases."""
        return self.positives + self.negatives + self.ungradable

    def with_ungradable_referred(self) -> Outcomes:
        """Return the outcomes of quality gate and student together: an ungradable case is sent on."""
        return Outcomes(
            true_positive=self.true_positive + self.ungradable_positive,
            false_negative=self.false_negative,
            false_positive=self.false_positive + self.ungradable_negative,
            true_negative=self.true_negative,
        )


class Disagreement(StrictDocument):
    """Candidate against an older release on the same gradable cases.

    Attributes:
        version: Of the older release.
        positives: Cases to be referred.
        negatives: Cases not to be referred.
        missed: Positives that the older one refers and the candidate does not.
        found: Positives the other way round.
        alarmed: Negatives that the candidate refers and the older one does not.
        calmed: Negatives the other way round.
    """

    version: str = Field(min_length=1, max_length=12)
    positives: Count
    negatives: Count
    missed: Count
    found: Count
    alarmed: Count
    calmed: Count

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.missed + self.found > self.positives or self.alarmed + self.calmed > self.negatives:
            raise ValueError("more disagreements than cases")
        return self

    def __add__(self, other: Disagreement) -> Disagreement:
        """Return the counts of both together; the version is the first one's."""
        names = [name for name in Disagreement.model_fields if name != "version"]
        return Disagreement(version=self.version, **{n: getattr(self, n) + getattr(other, n) for n in names})


class MustRefer(StrictDocument):
    """Cases that nobody may miss, whatever the averages say."""

    cases: Count
    missed: Count


class SiteEvidence(StrictDocument):
    """What one site found; see the module's note.

    Attributes:
        schema_: Version of this document's shape.
        site: The site's public name.
        split: What the cases are: ``test`` when nothing was chosen on them.
        unit: What ``outcomes`` and ``parts`` count.
        model_sha256: Digest of the file that was run; None when the student was evaluated in training.
        data_digest: Digest of the site's data, by which looks at it are counted; None where it is not known.
        threshold: At which it was run.
        outcomes: Of all cases.
        parts: The same by fact and value, e.g. ``sex`` and ``F``.
        against: By role, ``incumbent`` or ``first``.
        counts: ``EvaluationCounts.to_dict`` of the gradable pictures.
        must_refer: Cases that have to be referred; None where the site has marked none.
        unit_camera: Whether these pictures are from cameras of screening units.
        shortcut: What the shortcut audit said of the data; None when it was not run.
    """

    schema_: Literal["eyebright.gate-evidence/1"] = Field(alias="schema", default=EVIDENCE_SCHEMA)
    site: str = Field(min_length=1, max_length=120)
    split: Literal["test", "validation"]
    unit: Literal["patient", "picture"]
    model_sha256: Sha256 | None
    data_digest: str | None = Field(default=None, max_length=100)
    threshold: float = Field(ge=0.0, le=1.0)
    outcomes: Outcomes
    parts: dict[str, dict[str, Outcomes]] = Field(default_factory=dict)
    against: dict[Literal["incumbent", "first"], Disagreement] = Field(default_factory=dict)
    counts: dict[str, tuple[Count, ...]]
    must_refer: MustRefer | None = None
    unit_camera: bool = False
    shortcut: ShortcutLevel | None = None


def read_evidence(path: Path) -> SiteEvidence:
    """Return what a site sent.

    Raises:
        InputError: the file cannot be read, or is not such a document.
    """
    try:
        return SiteEvidence.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError("a site's counts cannot be read", value=path, fix="Name the file that it sent.") from error
    except ValidationError as error:
        problem = problems_of(error, whole="counts")[0]
        raise InputError("a site's counts are damaged", value=f"{path}: {problem}", fix="Ask for them again.") from None
