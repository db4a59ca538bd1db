"""The agent as a service: look for releases for ever, and never give up, never hurry, never die of a bad day.

* One round asks the unit's places in their order until one answers. What a round came to decides the pause after it:
  a quarter of an hour when all is well, half a minute while a release is on trial or a visit is open, and after
  failures a pause that doubles up to an hour. Every pause is jittered, so that a thousand units do not come at once.
* Where the server is one of the places, its word that something was published ends a rest early (``hints``).
* How often it failed in a row, and when it looks next, stand in ``agent.json``: a restart does not begin to hurry.
* For systemd: ``READY=1`` when it runs, ``STATUS=…`` after each round, ``WATCHDOG=1`` while the state machine moves.
  A state that does not end for hours stops the watchdog's signal; the service manager then starts the agent anew, and
  the table counts an interruption.
"""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime, Field, ValidationError

from eyebright_common.documents import Document
from eyebright_common.durable import write_bytes
from eyebright_common.errors import EyebrightError
from eyebright_edge.agent.hints import Hints
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.source import ReleaseSource
from eyebright_edge.agent.update import UpdateAgent, UpdateResult
from eyebright_edge.agent.update_record import Ending

OpenPlace = Callable[[str], AbstractContextManager[ReleaseSource]]

_LONGEST_STATE_S = 6 * 3600.0
_HEARTBEAT_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """How long the agent rests, seconds.

    Attributes:
        poll_s: After a round that went well.
        look_s: While a trial or an open visit is waited for.
        first_pause_s: After the first failure; doubles with each.
        longest_pause_s: After many.
    """

    poll_s: float = 900.0
    look_s: float = 30.0
    first_pause_s: float = 60.0
    longest_pause_s: float = 3600.0

    def pause_s(self, ending: Ending, failures: int, chance: random.Random) -> float:
        """Return how long to rest.

        Args:
            ending: What the last round came to.
            failures: How many in a row have failed, that one included.
            chance: Of the jitter: between half and one and a half of the pause.
        """
        if ending is Ending.WAITING:
            pause = self.look_s
        elif ending is Ending.FAILED:
            pause = min(self.longest_pause_s, self.first_pause_s * 2.0 ** min(failures - 1, 30))
        else:
            pause = self.poll_s
        return pause * (0.5 + chance.random())


class AgentNote(Document):
    """``agent.json``: what the service did last and does next, for people and for its own restart.

    Attributes:
        schema_: Version of this file's shape.
        ending: What the last round came to.
        reason: Why, when it did not end well or has to wait.
        failures: How many rounds in a row have failed.
        looked_at: When it was, by the machine's clock.
        next_at: When it looks again.
    """

    schema_: Literal["eyebright.agent/1"] = Field(default="eyebright.agent/1", alias="schema")
    ending: Ending
    reason: str = ""
    failures: int = Field(default=0, ge=0)
    looked_at: AwareDatetime
    next_at: AwareDatetime


def read_agent_note(home: UnitHome) -> AgentNote | None:
    """Return the note, None when the service never ran here or it cannot be read."""
    try:
        return AgentNote.model_validate_json(home.agent_file.read_bytes())
    except (OSError, ValidationError):
        return None


class AgentService:
    """The loop.

    Args:
        home: The unit's home.
        places: Where to look, in this order.
        open_place: Opens one.
        make_agent: Makes an agent for an opened place.
        clock: The machine's clock, aware.
        sleep: Waits, seconds.
        hints: What may end a rest early; nothing when left out.
        rhythm: How long it rests.
        chance: Of the jitter.
        on_event: Told in one line what a round came to.
    """

    def __init__(
        self,
        home: UnitHome,
        *,
        places: tuple[str, ...],
        open_place: OpenPlace,
        make_agent: Callable[[ReleaseSource], UpdateAgent],
        clock: Callable[[], datetime],
        sleep: Callable[[float], None] = time.sleep,
        hints: Hints | None = None,
        rhythm: Rhythm | None = None,
        chance: random.Random | None = None,
        on_event: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._home = home
        self._places = places
        self._open_place = open_place
        self._make_agent = make_agent
        self._clock = clock
        self._sleep = sleep
        self._hints = hints
        self._rhythm = rhythm or Rhythm()
        self._chance = chance or random.Random()
        self._on_event = on_event
        note = read_agent_note(home)
        self._failures = note.failures if note else 0

    def run(self, *, rounds: int | None = None) -> None:
        """Look for releases, again and again; ``rounds`` bounds it."""
        done = 0
        while rounds is None or done < rounds:
            result = self.round()
            self._failures = self._failures + 1 if result.ending is Ending.FAILED else 0
            pause_s = self._rhythm.pause_s(result.ending, self._failures, self._chance)
            self._note(result, pause_s)
            self._on_event(_line(result, pause_s))
            done += 1
            if rounds is None or done < rounds:
                self._rest(result.ending, pause_s)

    def _rest(self, ending: Ending, pause_s: float) -> None:
        # What is waited for during a trial or a visit is on this machine; the server has nothing to say about it.
        if self._hints is None or ending is Ending.WAITING:
            self._sleep(pause_s)
        elif self._hints.within(pause_s, unreached=ending is Ending.FAILED):
            self._on_event("the server calls; looking now")

    def round(self) -> UpdateResult:
        """Ask the places in their order and return what the first that answers came to, else the first failure."""
        failed: UpdateResult | None = None
        for place in self._places:
            try:
                with self._open_place(place) as source:
                    result = self._make_agent(source).update()
            except (EyebrightError, OSError) as error:
                result = self._failure(error)
            if result.ending is not Ending.FAILED:
                return result
            failed = failed or result
        assert failed is not None, "a unit has at least one place"
        return failed

    def _failure(self, error: Exception) -> UpdateResult:
        explained = error if isinstance(error, EyebrightError) else EyebrightError("the update failed", value=error)
        active = self._home.active_version()
        return UpdateResult(ending=Ending.FAILED, version=None, active=active, reason=str(explained), error=explained)

    def _note(self, result: UpdateResult, pause_s: float) -> None:
        now = self._clock()
        note = AgentNote(
            ending=result.ending,
            reason=result.reason,
            failures=self._failures,
            looked_at=now,
            next_at=now + timedelta(seconds=pause_s),
        )
        with suppress(OSError):  # a full or read-only disk: the next round says so, and screening goes on
            write_bytes(self._home.agent_file, note.to_json(), mode=0o600)


def _line(result: UpdateResult, pause_s: float) -> str:
    serves = f"release {result.active} serves" if result.active else "no release serves"
    why = f" ({result.reason})" if result.reason else ""
    return f"{result.ending.replace('_', ' ')}; {serves}{why}; next look in {pause_s:.0f} s"


class ServiceManager:
    """What systemd is told, if it started this process (``NOTIFY_SOCKET``); nothing otherwise.

    Args:
        address: Of its socket; from the environment when left out.
    """

    def __init__(self, address: str | None = None) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET") if address is None else address
        self._deadline = time.monotonic() + _LONGEST_STATE_S
        if self._address:
            threading.Thread(target=self._beat, daemon=True).start()

    def tell(self, message: str) -> None:
        """Send ``READY=1``, ``STATUS=…`` or ``STOPPING=1``."""
        if not self._address:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.sendto(message.encode(), address)

    def moved(self) -> None:
        """The state machine moved: the watchdog may be fed for as long as one state may take."""
        self._deadline = time.monotonic() + _LONGEST_STATE_S

    def _beat(self) -> None:
        while time.monotonic() < self._deadline:
            self.tell("WATCHDOG=1")
            time.sleep(_HEARTBEAT_S)
