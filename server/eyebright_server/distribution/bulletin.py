"""Who waits to hear of a publication, and how they are told.

* One look at the timestamp file a second, whoever publishes: this process or ``eyebright server publish`` beside it. A
  thousand watchers cost no more looks than one.
* The mark is made of the versions of what is in force and of the root, so a mere renewal wakes nobody. It is a hint:
  what it leads to is proved by signatures, so nothing is verified here.
* Watchers are woken spread out, ``per_second`` of them: who is woken comes and fetches.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

log = logging.getLogger(__name__)


class Bulletin:
    """What watchers wait for; belongs to one event loop.

    Args:
        repository: The served folder.
        look_every_s: How often to look.
        per_second: How many watchers to wake in a second.
        random: Returns a number from 0 to 1, for the spread.
        sleep: How a watcher that was woken waits for its turn.
    """

    def __init__(
        self,
        repository: Path,
        *,
        look_every_s: float = 1.0,
        per_second: float = 100.0,
        random: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._metadata = repository / "metadata"
        self._look_every_s = look_every_s
        self._per_second = per_second
        self._random, self._sleep = random, sleep
        self._mark = self._fresh = ""
        self._seen: tuple[int, int] | None = None
        self._changed = asyncio.Event()
        self.waiting = self._woken = 0

    @property
    def mark(self) -> str:
        """The present mark; empty before the first look."""
        return self._mark

    async def keep_looking(self) -> None:
        """Look for publications until cancelled."""
        while True:
            await asyncio.to_thread(self._look)
            if self._fresh != self._mark:
                self._mark, self._woken = self._fresh, self.waiting
                self._changed.set()
                self._changed = asyncio.Event()  # who waits from now on waits for the next one
            await asyncio.sleep(self._look_every_s)

    async def after(self, mark: str) -> str:
        """Return the present mark as soon as it is another than ``mark``."""
        if self._mark == mark or not self._mark:
            self.waiting += 1
            try:
                while self._mark == mark or not self._mark:
                    await self._changed.wait()
            finally:
                self.waiting -= 1
            await self._sleep(self._woken / self._per_second * self._random())
        return self._mark

    def _look(self) -> None:
        try:
            stat = (self._metadata / "timestamp.json").stat()
            newest_root = max((int(p.name.split(".")[0]) for p in self._metadata.glob("[1-9]*.root.json")), default=0)
            if (stat.st_mtime_ns, newest_root) != self._seen:
                self._seen = (stat.st_mtime_ns, newest_root)  # first: what is damaged is complained of once
                self._fresh = self._read_mark(newest_root)
        except (OSError, ValueError, KeyError, TypeError) as error:
            # Half-written by somebody else, or damaged: watchers wait on, and units that poll say what is wrong.
            log.error("the published metadata cannot be read: %s", error)

    def _read_mark(self, newest_root: int) -> str:
        timestamp = json.loads((self._metadata / "timestamp.json").read_bytes())
        number = int(timestamp["signed"]["meta"]["snapshot.json"]["version"])
        snapshot = json.loads((self._metadata / f"{number}.snapshot.json").read_bytes())
        versions = {name: meta["version"] for name, meta in snapshot["signed"]["meta"].items()}
        said = json.dumps({"root": newest_root, **versions}, sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:16]
