"""Who is in front of the screen: a secret in a cookie, forgotten after a pause.

Nothing of a login is on disk. A restart locks the screen; visits are in the journal and go on.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class _Login:
    technician: str
    seen_at: float


class Logins:
    """The open logins.

    Args:
        idle_lock_s: Seconds without a sign of a person after which a login ends.
        now: Monotonic seconds.
        when_empty: Called when the last login has ended.
    """

    def __init__(
        self, *, idle_lock_s: float, now: Callable[[], float], when_empty: Callable[[], None] = lambda: None
    ) -> None:
        self._idle_lock_s, self._now, self._when_empty = idle_lock_s, now, when_empty
        self._open: dict[str, _Login] = {}
        self._lock = threading.Lock()

    def begin(self, technician: str) -> str:
        """Open a login and return its secret."""
        secret = secrets.token_urlsafe(32)
        with self._lock:
            self._open[secret] = _Login(technician, self._now())
        return secret

    def technician(self, secret: str | None, *, person: bool = True) -> str | None:
        """Return whose login this is; None when it has ended.

        Args:
            secret: From the cookie.
            person: False for a request that the page makes by itself: it keeps no login open.
        """
        with self._lock:
            login = self._open.get(secret or "")
            if login is None:
                return None
            if not self._idle(login):
                if person:
                    login.seen_at = self._now()
                return login.technician
        self.end(secret)
        return None

    def end(self, secret: str | None) -> None:
        """Close a login."""
        self._drop({secret or ""})

    def end_idle(self) -> None:
        """Close the logins of those who went away, also when their browser asks no more."""
        with self._lock:
            idle = {secret for secret, login in self._open.items() if self._idle(login)}
        self._drop(idle)

    def _idle(self, login: _Login) -> bool:
        return self._now() - login.seen_at > self._idle_lock_s

    def _drop(self, ended: set[str]) -> None:
        with self._lock:
            found = [self._open.pop(secret) for secret in ended & self._open.keys()]
            empty = bool(found) and not self._open
        if empty:
            self._when_empty()
