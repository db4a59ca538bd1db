"""Is the trial of a new release over, and how did it go? Read from the journals alone; changes nothing.

* A trial ends after so many finished visits or so many minutes, whichever comes first (``settings.Trial``).
* The watchdog: two or more visits that nobody could finish, and more of them than finished ones, mean that the release
  brings its screening down. In shadow a single crash means it.
* Visits are counted by their numbers, not by their times: the clock of a unit may jump.
* An open visit is one that is on record without an answer and began less than ``ABANDONED_AFTER`` ago. It stays with
  the release that it was opened with, and no release is switched while there is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from eyebright_common.wire.report import ShadowAgreement
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.settings import Trial
from eyebright_edge.agent.update_record import UpdateRecord
from eyebright_edge.records import Journal, Visit, VisitJournal

ABANDONED_AFTER = timedelta(hours=6)
# Fewer would tell of single visits; so would the count while it grows, which is why it is told after the trial.
LEAST_COMPARED = 5
_CRASHED = "crashed"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialReport:
    """How a trial stands.

    Attributes:
        over: Whether it has lasted long enough.
        failed: Why the release must be taken back; empty when it need not be.
        words: How it stands, for people.
    """

    over: bool
    failed: str
    words: str


def trial_report(home: UnitHome, record: UpdateRecord, limits: Trial, *, now: datetime) -> TrialReport:
    """Return how the trial of ``record.version`` stands.

    Args:
        home: The unit's home.
        record: Of the update; its trial has begun.
        limits: How long a trial is.
        now: The trusted time.
    """
    assert record.version is not None
    assert record.trial_began_at is not None
    tried = [v for v in visits_on_record(home) if v.number > record.trial_after_visit and v.release == record.version]
    finished = sum(visit.answer is not None for visit in tried)
    # The last one may still be in progress; what was opened before it and never ended was lost.
    lost = sum(visit.answer is None for visit in tried[:-1])
    minutes = max(0.0, (now - record.trial_began_at).total_seconds() / 60)
    failed = f"{lost} of {len(tried)} visits with it could not be finished" if lost >= 2 and lost > finished else ""
    return TrialReport(
        over=finished >= limits.visits or minutes >= limits.minutes,
        failed=failed,
        words=f"{finished} of {limits.visits} visits, {minutes:.0f} of {limits.minutes:.0f} minutes",
    )


def shadow_report(home: UnitHome, record: UpdateRecord, limits: Trial, *, now: datetime) -> TrialReport:
    """Return how the trial of a release that runs unseen stands; arguments as ``trial_report``."""
    assert record.trial_began_at is not None
    seen = [entry for entry in shadow_entries(home) if entry.get("release") == record.version]
    crashed = sum(bool(entry.get(_CRASHED)) for entry in seen)
    agreed = sum(entry.get("shown") == entry.get("unseen") for entry in seen if not entry.get(_CRASHED))
    minutes = max(0.0, (now - record.trial_began_at).total_seconds() / 60)
    return TrialReport(
        over=len(seen) - crashed >= limits.visits or minutes >= limits.minutes,
        failed=f"it crashed on {crashed} of {len(seen)} visits, unseen" if crashed else "",
        words=f"unseen: {agreed} of {len(seen)} answers alike, {minutes:.0f} of {limits.minutes:.0f} minutes",
    )


def shadow_agreement(home: UnitHome, version: str) -> ShadowAgreement | None:
    """Return how often a release that ran unseen gave the word that was shown; None below ``LEAST_COMPARED`` visits."""
    seen = [entry for entry in shadow_entries(home) if entry.get("release") == version and not entry.get(_CRASHED)]
    if len(seen) < LEAST_COMPARED:
        return None
    agreed = sum(entry.get("shown") == entry.get("unseen") for entry in seen)
    return ShadowAgreement(version=version, compared=len(seen), agreed=agreed)


def visits_on_record(home: UnitHome) -> Sequence[Visit]:
    """Return the visits; none when the journal cannot be read, because an update must not depend on it."""
    try:
        return VisitJournal(home.visits_file).visits()
    except (OSError, KeyError, ValueError):
        return ()


def shadow_entries(home: UnitHome) -> list[dict[str, object]]:
    """Return what the release that runs unseen did, oldest first; nothing when it cannot be read."""
    try:
        return list(Journal(home.shadow_file).read()[0])
    except OSError:
        return []


def visit_is_open(home: UnitHome, *, now: datetime) -> bool:
    """Whether a visit that began lately has no answer yet.

    Args:
        home: The unit's home.
        now: The machine's own clock, by which visits are stamped.
    """
    # One that was held on the command line cannot be gone on with; while it runs it holds ``UnitHome.visiting``.
    waiting = (v for v in visits_on_record(home) if v.answer is None and not v.only_counted)
    return any(_lately(visit, now) for visit in waiting)


def last_visit_number(home: UnitHome) -> int:
    """Return the highest number of a visit, 0 without one."""
    return max((visit.number for visit in visits_on_record(home)), default=0)


def _lately(visit: Visit, now: datetime) -> bool:
    try:
        return abs(now - datetime.fromisoformat(visit.opened_at)) < ABANDONED_AFTER
    except (TypeError, ValueError):
        return False
