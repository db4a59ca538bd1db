"""When a timestamp was signed, as one field more in its signed part.

The specification gives metadata an end but no beginning, and a small computer's clock may be anywhere after a power
loss. A client that knows when the newest timestamp was made knows a time before which it cannot be. Readers that do not
know the field ignore it (specification section 4); a timestamp without it is as good as before.
"""

from __future__ import annotations

from datetime import UTC, datetime

from tuf.api.metadata import Timestamp

_FIELD = "x-eyebright-signed"


def set_signing_time(timestamp: Timestamp, now: datetime) -> None:
    """Write into ``timestamp`` that it is being signed ``now``."""
    timestamp.unrecognized_fields[_FIELD] = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def signing_time(timestamp: Timestamp) -> datetime | None:
    """Return when ``timestamp`` was signed; None when it does not say."""
    said = timestamp.unrecognized_fields.get(_FIELD)
    try:
        return datetime.strptime(said, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC) if isinstance(said, str) else None
    except ValueError:
        return None
