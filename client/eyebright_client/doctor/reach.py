"""Whether the server can be reached over TLS, and how far this clock is from its own.

One request without content. A node's clock may be five seconds fast to five minutes slow before its signature is
refused, so the difference matters before the first round.
"""

from __future__ import annotations

import http.client
import ssl
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path

from eyebright_common.errors import InputError

_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """What came of it.

    Attributes:
        trouble: Why it could not be reached, in a word of ours; empty where it could.
        skew_s: This clock minus the server's, in seconds; None where the server does not say the time.
        seconds: How long the answer took.
    """

    trouble: str = ""
    skew_s: float | None = None
    seconds: float = 0.0


def reach(server: str, *, ca: Path | None) -> Reached:
    """Return whether ``host:port`` answers over TLS.

    Raises:
        InputError: the address or the certificate file cannot be used.
    """
    host, colon, port = server.rpartition(":")
    if not colon or not port.isdecimal():
        raise InputError("this is no address of a server", value=server, fix="Give HOST:PORT.")
    try:
        context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    except (OSError, ssl.SSLError):
        raise InputError("the certificate authority cannot be read", value=ca, fix="Give the operator's CA.") from None
    begun = time.time()
    connection = http.client.HTTPSConnection(host, int(port), timeout=_TIMEOUT_S, context=context)
    try:
        connection.request("HEAD", "/")
        date = connection.getresponse().getheader("Date")
    except ssl.SSLCertVerificationError:
        return Reached(trouble="its certificate is not from a trusted authority")
    except ssl.SSLError:
        return Reached(trouble="no TLS could be agreed")
    except TimeoutError:
        return Reached(trouble="no answer in time")
    except (OSError, http.client.HTTPException):
        return Reached(trouble="no connection")
    finally:
        connection.close()
    ended = time.time()
    return Reached(seconds=ended - begun, skew_s=_skew(date, (begun + ended) / 2))


def _skew(date: str | None, now: float) -> float | None:
    if date is None:
        return None
    try:
        return round(now - parsedate_to_datetime(date).timestamp(), 1)
    except (TypeError, ValueError):
        return None
