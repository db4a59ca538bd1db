"""What every check is given: the source as read, its rows, the facts of their pictures and what belongs together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from eyebright_client.doctor.patients import Together, counted, put_together, row_reasons
from eyebright_client.doctor.picture import PictureFacts
from eyebright_common.manifest import Manifest, Row
from eyebright_common.manifest.importers import Judged, Source
from eyebright_common.tasks import ScreeningTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One data set under examination.

    Attributes:
        source: As read.
        judged: Its rows for a task.
        rows: The rows that were looked at: all of them, or a sample of patients.
        facts: Of each row's picture.
        together: What of it belongs together.
        reasons: For each row why it is left out, empty where it is used.
    """

    source: Source
    judged: Judged
    rows: Sequence[Row]
    facts: Sequence[PictureFacts]
    together: Together
    reasons: Sequence[str]

    @classmethod
    def of(cls, source: Source, judged: Judged, rows: Sequence[Row], facts: Sequence[PictureFacts]) -> Case:
        """Return the case with groups and reasons worked out."""
        together = put_together(rows, facts)
        return cls(
            source=source,
            judged=judged,
            rows=rows,
            facts=facts,
            together=together,
            reasons=row_reasons(rows, facts, together),
        )

    @property
    def manifest(self) -> Manifest:
        """The manifest of the task."""
        return self.judged.manifest

    @property
    def task(self) -> ScreeningTask:
        """The task."""
        return self.judged.task

    @property
    def used(self) -> list[int]:
        """The rows that would be used."""
        return [index for index, reason in enumerate(self.reasons) if not reason]

    @property
    def readable(self) -> list[int]:
        """The rows whose picture could be read."""
        return [index for index, found in enumerate(self.facts) if not found.reason]

    def left_out(self) -> Counter[str]:
        """Return reason → rows and files that are not used; with ``used`` they make up everything there is."""
        total = Counter(self.manifest.left_out) + counted(self.reasons)
        if unseen := len(self.manifest.rows) - len(self.rows):
            total["not_in_sample"] = unseen
        return total
