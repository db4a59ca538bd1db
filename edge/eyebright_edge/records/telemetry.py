"""Telemetry: what of this unit's days is told to the operator, and until when it was taken note of.

* Computed from the journal of visits when it is wanted; there is no second set of books to disagree with the first.
* A day is told once it is over. It stays pending until the server has acknowledged it (``telemetry.json`` holds the
  last acknowledged day), for weeks if need be.
* Counts below a floor are left out (``wire.telemetry``). Words come from fixed lists: a camera that the release was not
  measured on is ``other``, whatever it calls itself; a reason nobody knows is ``other`` too. No code, name, file, score
  or time of a visit has a place in it.
* The totals of the active release, which the operator's rollout is watched by, would give small counts away: two
  reports with a visit between them differ by that visit. So they are of finished days too, and fixed random rounding
  (as statistical offices publish small tables) tells them in steps of the floor: up or down by a chance that the unit
  alone can compute, right on average, never exact, and none before ``LEAST_PATIENTS``, where rounding would drown a
  rate.
* What is sent is exactly what the kiosk and ``eyebright edge telemetry show`` show first.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from eyebright_common.documents import Document
from eyebright_common.durable import write_bytes
from eyebright_common.release import Verdict
from eyebright_common.wire.report import ShadowAgreement, UnitStatus
from eyebright_common.wire.telemetry import MOST_DAYS, DayCounts, Telemetry, suppressed
from eyebright_edge.records.visits import Visit

FLOOR = 5
LEAST_PATIENTS = 50
TELEMETRY_FILE = "telemetry.json"
_ANSWERS = ("refer", "no-referral", "ungradable", "stopped")
# Every reason of the imaging room, spelt out: it brings OpenCV with it, which the agent has no other use for.
REASONS = frozenset(
    [
        "not_a_retina",
        "too_dark",
        "too_bright",
        "uneven_light",
        "blur",
        "haze",
        "reflection",
        "eyelid",
        "field",
        "not_an_oct",
        "blink",
        "weak_signal",
        "clipped",
        "missing_file",
        "not_a_file",
        "unreadable",
        "empty_file",
        "too_large",
        "too_small",
        "not_an_image",
        "unsupported_format",
        "vendor_format",
        "pdf",
        "truncated",
        "animated",
        "multi_page",
        "cmyk",
        "unsupported_colour",
        "unsupported_depth",
        "encapsulated_pdf",
        "no_pixels",
        "no_such_frame",
        "too_many_frames",
        "unsupported_compression",
    ]
)
_BINS_MS = (250, 500, 1000, 2000, 5000)
_THERMAL = Path("/sys/class/thermal")


class Acknowledged(Document):
    """``telemetry.json``: the last day that the server has taken note of."""

    schema_: Literal["eyebright.telemetry/1"] = Field(default="eyebright.telemetry/1", alias="schema")
    through: date | None = None


def pending_telemetry(
    visits: Iterable[Visit],
    *,
    today: date,
    through: date | None = None,
    floor: int = FLOOR,
    temperature_c: int | None = None,
    golden: tuple[int, int] | None = None,
) -> Telemetry:
    """Return what is to be told now.

    Args:
        visits: The journal's.
        today: The present day, UTC; it is not over and not told.
        through: The last day that was acknowledged.
        floor: The smallest count that is told.
        temperature_c: Of the machine.
        golden: Cases and changed decisions of the active release's proof.
    """
    by_day: dict[date, list[Visit]] = {}
    for visit in visits:
        day = _day_of(visit)
        if day is not None and day < today and (through is None or day > through):
            by_day.setdefault(day, []).append(visit)
    days = tuple(_counted(day, by_day[day], floor) for day in sorted(by_day)[:MOST_DAYS])
    cases, flips = golden or (None, None)
    return Telemetry(
        suppressed_below=floor, golden_cases=cases, golden_flips=flips, temperature_c=temperature_c, days=days
    )


def told_totals(
    visits: Iterable[Visit], *, release: str | None, today: date, secret: bytes, floor: int = FLOOR
) -> dict[str, int]:
    """Return the totals that are told of a release: ``pictures``, and patients by verdict (as ``Verdict`` spells it).

    Args:
        visits: The journal's.
        release: Its version.
        today: The present day, UTC; it is not over and not told.
        secret: Known to this unit alone; the same secret and the same count give the same total.
        floor: The step.
    """
    counts: Counter[str] = Counter()
    for visit in visits:
        day = _day_of(visit)
        if visit.release == release and visit.answer is not None and day is not None and day < today:
            counts["pictures"] += len(visit.pictures)
            counts[str(visit.answer.get("verdict"))] += 1
    verdicts = [verdict.value for verdict in (Verdict.REFER, Verdict.NO_REFERRAL, Verdict.UNGRADABLE)]
    if sum(counts[word] for word in verdicts) < LEAST_PATIENTS:
        return dict.fromkeys((*verdicts, "pictures"), 0)
    return {word: _rounded(counts[word], floor, secret, f"{release} {word}") for word in (*verdicts, "pictures")}


def _shadow_line(seen: ShadowAgreement) -> str:
    return f"unseen       release {seen.version} gave the same word on {seen.agreed} of {seen.compared} visits"


def _rounded(count: int, step: int, secret: bytes, cell: str) -> int:
    chance = int.from_bytes(hmac.new(secret, cell.encode(), hashlib.sha256).digest()[:8], "big") % step
    return (count + chance) // step * step


def acknowledged_through(home: Path) -> date | None:
    """Return the last acknowledged day; None where nothing was, or the note is damaged: then days are told again."""
    try:
        return Acknowledged.model_validate_json((home / TELEMETRY_FILE).read_bytes()).through
    except (OSError, ValidationError):
        return None


def acknowledge(home: Path, told: Telemetry) -> None:
    """Note that the server has taken note of ``told``; never goes back to an earlier day."""
    days = [counts.day for counts in told.days]
    before = acknowledged_through(home)
    if days and (before is None or max(days) > before):
        write_bytes(home / TELEMETRY_FILE, Acknowledged(through=max(days)).to_json(), mode=0o600)


def machine_temperature_c(zones: Path = _THERMAL) -> int | None:
    """Return the warmest thermal zone in whole degrees Celsius; None where the machine tells none."""
    found = []
    for zone in sorted(zones.glob("thermal_zone*/temp")):
        with suppress(OSError, ValueError):
            found.append(round(int(zone.read_text()) / 1000))
    sensible = [degrees for degrees in found if -60 <= degrees <= 200]
    return max(sensible, default=None)


def report_lines(report: UnitStatus, *, through: date | None) -> list[str]:
    """Return a whole report for a person.

    Args:
        report: The next one.
        through: The last acknowledged day.
    """
    told, totals = report.telemetry, report.verdicts
    assert told is not None
    lines = [
        f"screens for  {report.task or '-'}, release {report.active_version or '-'} in {report.backend or '-'}",
        f"update       {report.state}{f' ({report.last_error})' if report.last_error else ''}",
        f"unseen       {_shadow_words(report)}",
        f"software     {report.software}",
        f"totals       {totals.refer} REFER, {totals.no_referral} NO REFERRAL, {totals.ungradable} UNGRADABLE, "
        f"{report.screened} pictures",
        f"Totals are of finished days, in steps of {FLOOR}, rounded by chance; 0 below {LEAST_PATIENTS} patients.",
        *([_shadow_line(report.shadow)] if report.shadow else []),
        f"Acknowledged by the server: {'nothing yet' if through is None else f'everything through {through}'}.",
        f"Counts of 1 to {told.suppressed_below - 1} are not told, nor one that would give them away.",
        f"temperature  {'not known' if told.temperature_c is None else f'{told.temperature_c} °C'}",
        f"proof        {'none' if told.golden_cases is None else _proof_words(told)}",
    ]
    for counts in told.days:
        lines.append(f"{counts.day}")
        for name in ("results", "reasons", "cameras", "milliseconds"):
            cells: Mapping[str, int | None] = getattr(counts, name)
            shown = ", ".join(f"{word} {'not told' if cell is None else cell}" for word, cell in cells.items())
            lines.append(f"  {name:<13}{shown or '-'}")
    return [*lines, *(() if told.days else ("No finished day waits to be told.",))]


def _shadow_words(report: UnitStatus) -> str:
    shadow = report.shadow
    return f"release {shadow.version}: {shadow.agreed} of {shadow.compared} answers alike" if shadow else "none"


def _proof_words(told: Telemetry) -> str:
    return f"{told.golden_cases} golden cases, {told.golden_flips} decisions changed"


def _counted(day: date, visits: Iterable[Visit], floor: int) -> DayCounts:
    results: Counter[str] = Counter(dict.fromkeys(_ANSWERS, 0))
    reasons: Counter[str] = Counter()
    cameras: Counter[str] = Counter()
    took: Counter[str] = Counter()
    for visit in visits:
        results[_answer_word(visit.answer or {})] += 1
        cameras[_camera_word(visit)] += 1
        for picture in visit.pictures:
            reasons.update({_reason_word(reason) for reason in _reasons_of(picture)})
            if (bin_name := _bin_of(picture.get("milliseconds"))) is not None:
                took[bin_name] += 1
    tables = (suppressed(counts, below=floor) for counts in (results, reasons, cameras, took))
    return DayCounts(day=day, **dict(zip(("results", "reasons", "cameras", "milliseconds"), tables, strict=True)))


def _day_of(visit: Visit) -> date | None:
    if visit.answer is None:
        return None
    with suppress(ValueError, KeyError):
        return datetime.fromisoformat(str(visit.answer["at"])).date()
    return None


def _answer_word(answer: Mapping[str, Any]) -> str:
    word = str(answer.get("verdict", "")).lower().replace(" ", "-")
    return word if word in _ANSWERS else "stopped"


def _camera_word(visit: Visit) -> str:
    named = {str(picture.get("camera") or "") for picture in visit.pictures} - {""}
    camera = named.pop() if len(named) == 1 else str(visit.about.get("camera") or "") if not named else "several"
    if not camera:
        return "unknown"
    measured = {str(name).lower() for name in visit.about.get("measured_cameras", ())}
    word = re.sub(r"[^a-z0-9]+", "-", camera.lower()).strip("-")[:40]
    return word if camera.lower() in measured and word else "other"


def _reasons_of(picture: Mapping[str, Any]) -> tuple[str, ...]:
    quality = picture.get("quality")
    told = picture.get("reasons") or (quality.get("reasons") if isinstance(quality, Mapping) else ())
    return tuple(str(reason) for reason in told or ())


def _reason_word(reason: str) -> str:
    return reason if reason in REASONS else "other"


def _bin_of(milliseconds: Any) -> str | None:
    if not isinstance(milliseconds, Mapping) or not milliseconds:
        return None
    total = sum(float(part) for part in milliseconds.values())
    return next((f"{bound}" for bound in _BINS_MS if total <= bound), "more")
