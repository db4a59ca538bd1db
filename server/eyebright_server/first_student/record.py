"""``student.json``: what the first student is, what it was made from, how it learnt and how good it is.

Figures are of its probabilities as they come, one picture at a time, with 95 % intervals from resamples of whole
groups. No temperature is fitted: rounds find that of the student they ship.
"""

from __future__ import annotations

from eyebright_server.teacher.record import TrainingRecord


class FirstStudentRecord(TrainingRecord):
    """All that is known about a first student; its validation part chose nothing.

    Attributes:
        teacher_sha256: Of the teacher's file; None where it learnt from labels alone.
    """

    teacher_sha256: str | None
