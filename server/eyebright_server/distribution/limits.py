"""How often one caller may ask (a token bucket per caller), and how many streams it may hold (``Places``).

* A bucket holds ``burst`` requests and fills at ``per_second``; who finds it empty is refused, not queued.
* Buckets that are full again are forgotten, so the memory is bounded by the callers of the last minutes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from eyebright_common.errors import LimitExceeded


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A rate limit.

    Attributes:
        burst: Requests at once.
        per_second: Requests in the long run.
    """

    burst: int
    per_second: float


class RateLimiter:
    """Counts requests per caller.

    Args:
        rate: What one caller may do.
        clock: Monotonic seconds.
        callers: How many callers are remembered before full buckets are cleared away.
    """

    def __init__(self, rate: Rate, clock: Callable[[], float], *, callers: int = 4096) -> None:
        self._rate = rate
        self._clock = clock
        self._callers = callers
        self._buckets: dict[str, tuple[float, float]] = {}

    def spend(self, caller: str) -> None:
        """Count one request.

        Raises:
            LimitExceeded: this caller has asked too often.
        """
        now = self._clock()
        if len(self._buckets) >= self._callers and caller not in self._buckets:
            self._clear_full(now)
        left = self._filled(caller, now)
        if left < 1:
            raise LimitExceeded("too many requests from one caller", fix="Wait a minute and try again.")
        self._buckets[caller] = (left - 1, now)

    def _filled(self, caller: str, now: float) -> float:
        left, since = self._buckets.get(caller, (float(self._rate.burst), now))
        return min(self._rate.burst, left + (now - since) * self._rate.per_second)

    def _clear_full(self, now: float) -> None:
        self._buckets = {c: b for c, b in self._buckets.items() if self._filled(c, now) < self._rate.burst}
        if len(self._buckets) >= self._callers:
            raise LimitExceeded("too many callers at once", fix="Wait a minute and try again.")


class Places:
    """Counts what each caller holds at once.

    Args:
        each: How many one caller may hold.
    """

    def __init__(self, each: int) -> None:
        self._each = each
        self._held: Counter[str] = Counter()

    @contextmanager
    def one(self, caller: str) -> Iterator[None]:
        """Hold a place for as long as the block lasts.

        Raises:
            LimitExceeded: this caller holds as many as it may.
        """
        if self._held[caller] >= self._each:
            raise LimitExceeded("one caller holds too many streams", fix="End one first.")
        self._held[caller] += 1
        try:
            yield
        finally:
            self._held[caller] -= 1
            if not self._held[caller]:
                del self._held[caller]  # who holds nothing is not remembered

    @property
    def all(self) -> int:
        """How many are held by everybody."""
        return self._held.total()
