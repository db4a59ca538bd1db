"""A staged rollout: which release is for which unit, decided the same way by the unit and by the server.

A rollout is a signed document (the target ``rollouts/<task>/<number>.json``); the highest number is in force. It names
the release that goes out, the one that stays for everybody else, the rings in their order and the ring that is open.

* A unit's place in [0, 1) is a hash of task, rollout seed and unit name: always the same, and evenly spread. Ring after
  ring takes its share of places from 0 upwards, so a unit that has the release keeps it when the next ring opens.
* ``shadow`` units run the release beside the old one and show nothing of it; every other ring's units serve it. Rings
  that are not open yet, and units outside all rings, keep the old release.
* A paused rollout reaches nobody who has not got the release; who has it keeps it. A rolled-back rollout is a rollout
  of a new, higher version with the old files, to everybody at once: nothing else ever goes down in version.
* Without a rollout every unit takes the newest release, as before there were rollouts. A rollout of releases that are
  not there is ignored for the newest that is not above the ones it names.
* What stops a rollout (``STOP_RULES``) is measured by the server on units' counts; the limits are those of a p-chart.

Not here: signing, transport, and what a unit does with its answer.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from eyebright_common.documents import StrictDocument, problems_of
from eyebright_common.errors import InputError, ReleaseError

ROLLOUT_SCHEMA: Literal["eyebright.rollout/1"] = "eyebright.rollout/1"
LONGEST_ROLLOUT_BYTES = 64 << 10

Version = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8}$")]
Task = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]
_NAME = re.compile(r"rollouts/([a-z0-9][a-z0-9-]{0,40})/([1-9][0-9]{0,8})\.json")


class Ring(StrictDocument):
    """One ring.

    Attributes:
        name: For people, e.g. ``canary``.
        kind: ``shadow`` runs the release unseen; ``serve`` screens with it.
        share: Of all units, in this ring alone.
        wait_hours: How long it is watched before the next may open.
        least_patients: How many patients its units have to have seen before that; 0 for a shadow.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")
    kind: Literal["shadow", "serve"]
    share: float = Field(gt=0.0, le=1.0)
    wait_hours: float = Field(ge=0.0, le=8760.0)
    least_patients: int = Field(default=0, ge=0)


DEFAULT_RINGS = (
    Ring(name="shadow", kind="shadow", share=0.02, wait_hours=24.0),
    Ring(name="canary", kind="serve", share=0.05, wait_hours=48.0, least_patients=50),
    Ring(name="phase-1", kind="serve", share=0.25, wait_hours=72.0, least_patients=200),
    Ring(name="phase-2", kind="serve", share=0.68, wait_hours=0.0),
)


class Rollout(StrictDocument):
    """What is signed; see the module's note.

    Attributes:
        schema_: Version of this document's shape.
        task: The screening task.
        number: Rises with every change; the highest is in force.
        version: The release that goes out.
        before: The release that everybody else keeps; None when there was none.
        seed: Of units' places; one per rollout, so that it is not always the same units that go first.
        rings: In their order.
        opened: Index of the ring that is open, with all before it.
        state: ``open``, ``paused`` or ``done`` (the release is for everybody).
    """

    schema_: Literal["eyebright.rollout/1"] = Field(alias="schema", default=ROLLOUT_SCHEMA)
    task: Task
    number: int = Field(ge=1, le=999_999_999)
    version: Version
    before: Version | None
    seed: str = Field(min_length=1, max_length=64)
    rings: tuple[Ring, ...] = Field(min_length=1, max_length=12)
    opened: int = Field(ge=0)
    state: Literal["open", "paused", "done"]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [ring.name for ring in self.rings]
        if len(set(names)) != len(names):
            raise ValueError("two rings have the same name")
        if sum(ring.share for ring in self.rings) > 1.0 + 1e-9:
            raise ValueError("the rings' shares are more than 1 together")
        if self.opened >= len(self.rings):
            raise ValueError("the open ring is not one of the rings")
        if self.before is not None and int(self.before) >= int(self.version):
            raise ValueError("a release that goes out is newer than the one before")
        return self

    @property
    def target(self) -> str:
        """Its name among the signed targets."""
        return f"rollouts/{self.task}/{self.number}.json"

    def ring_of(self, unit: str) -> int | None:
        """Return the index of a unit's ring; None when it is in none of them."""
        place, end = place_of(self.task, self.seed, unit), 0.0
        for index, ring in enumerate(self.rings):
            end += ring.share
            if place < end - 1e-12 or (index == len(self.rings) - 1 and end >= 1.0 - 1e-9):
                return index
        return None


class Use(StrEnum):
    """What a unit does with a release."""

    SERVE = "serve"
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What is for a unit.

    Attributes:
        serve: The version it screens with; None when nothing is for it yet.
        shadow: The version it runs unseen beside it; None for none.
    """

    serve: str | None
    shadow: str | None = None


def place_of(task: str, seed: str, unit: str) -> float:
    """Return a unit's place in [0, 1)."""
    digest = hashlib.sha256(f"{task}\n{seed}\n{unit}".encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48


def decide(rollout: Rollout | None, available: Iterable[str], *, unit: str, active: str | None) -> Assignment:
    """Return what is for a unit.

    Args:
        rollout: The one in force; None when there is none.
        available: Versions that the signed metadata lists for the task.
        unit: The unit's name, as in its certificate.
        active: The version it serves now.
    """
    versions = sorted({int(version) for version in available})
    newest = str(versions[-1]) if versions else None
    if rollout is None:
        return Assignment(serve=newest)
    if int(rollout.version) not in versions or rollout.state == "done":
        # Done, or not there yet: the newest that it speaks of. A release above it waits for a rollout of its own.
        return Assignment(serve=_newest_up_to(versions, rollout.version))
    old = rollout.before if rollout.before is None else _newest_up_to(versions, rollout.before)
    ring = rollout.ring_of(unit)
    if ring is None or ring > rollout.opened:
        return Assignment(serve=_not_below(old, active, rollout))
    if rollout.rings[ring].kind == "shadow":
        shadow = None if rollout.state == "paused" else rollout.version
        return Assignment(serve=_not_below(old, active, rollout), shadow=shadow)
    if rollout.state == "paused" and active != rollout.version:
        return Assignment(serve=_not_below(old, active, rollout))
    return Assignment(serve=rollout.version)


def _newest_up_to(versions: Sequence[int], limit: str) -> str | None:
    known = [version for version in versions if version <= int(limit)]
    return str(known[-1]) if known else None


def _not_below(old: str | None, active: str | None, rollout: Rollout) -> str | None:
    """A unit that has the release already never goes down; going back is a higher version."""
    return rollout.version if active == rollout.version else old


def rollout_numbers(names: Iterable[str], task: str) -> list[int]:
    """Return the numbers of the rollouts of a task among target names, ascending."""
    found = (_NAME.fullmatch(name) for name in names)
    return sorted(int(match.group(2)) for match in found if match is not None and match.group(1) == task)


def parse_rollout(data: bytes) -> Rollout:
    """Return the rollout in a signed target.

    Raises:
        ReleaseError: it is none, or breaks a rule.
    """
    if len(data) > LONGEST_ROLLOUT_BYTES:
        raise ReleaseError("a rollout is too long", value=len(data), fix="Tell the operator.")
    try:
        return Rollout.model_validate_json(data)
    except ValidationError as error:
        raise ReleaseError(
            "a rollout cannot be read", value=problems_of(error, whole="rollout")[0], fix="Tell the operator."
        ) from None


def parse_rings(text: str) -> tuple[Ring, ...]:
    """Return rings written as ``NAME:KIND:SHARE:HOURS[:PATIENTS]``, separated by commas.

    Raises:
        InputError: they cannot be read.
    """
    rings = []
    for part in text.split(","):
        fields = part.strip().split(":")
        try:
            if not 4 <= len(fields) <= 5:
                raise ValueError("four or five parts")
            patients = int(fields[4]) if len(fields) == 5 else 0
            rings.append(
                Ring.model_validate(
                    {
                        "name": fields[0],
                        "kind": fields[1],
                        "share": float(fields[2]),
                        "wait_hours": float(fields[3]),
                        "least_patients": patients,
                    }
                )
            )
        except ValueError as error:
            fix = "Write NAME:shadow|serve:SHARE:HOURS[:PATIENTS]; a SHARE of 0.05 is 5 %."
            raise InputError("a ring cannot be read", value=part.strip(), fix=fix) from error
    return tuple(rings)


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRule:
    """One rate that is watched.

    Attributes:
        name: Stable snake_case word.
        title: For people.
        words: When it stops the rollout, for people.
        both_ways: Whether too low a rate stops it too.
    """

    name: str
    title: str
    words: str
    both_ways: bool = False


_LIMITS = "outside the control limits of the units that keep the old release"
STOP_RULES = (
    StopRule(name="golden_failures", title="golden cases", words="a single unit fails them"),
    StopRule(name="errors", title="units whose last update or service failed", words=f"it is {_LIMITS}, above"),
    StopRule(
        name="referral_rate", title="share of patients referred", words=f"it is {_LIMITS}, either way", both_ways=True
    ),
    StopRule(name="ungradable_rate", title="share of patients ungradable", words=f"it is {_LIMITS}, above"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlLimits:
    """Where a rate may be: ``centre`` ± three deviations of a sample of ``n``."""

    centre: float
    lower: float
    upper: float
    n: int


def control_limits(events: int, total: int, n: int, *, deviations: float = 3.0) -> ControlLimits:
    """Return the p-chart's limits for a sample of ``n``, from ``events`` among ``total`` of the units before.

    The centre is (events + 1) / (total + 2), so that a baseline without a single event does not forbid the first one.
    The deviation is that of a difference: the baseline is a sample as well, and may be small.
    """
    centre = (events + 1) / (total + 2)
    spread = deviations * math.sqrt(centre * (1.0 - centre) * (1.0 / max(n, 1) + 1.0 / (total + 2)))
    return ControlLimits(centre=centre, lower=max(0.0, centre - spread), upper=min(1.0, centre + spread), n=n)
