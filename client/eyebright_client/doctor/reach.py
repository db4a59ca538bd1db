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
_LAST_PORT = 65535


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


def connection_to(server: str, *, ca: Path | None) -> http.client.HTTPSConnection:
    """Return a connection to ``host:port`` that is not opened yet, so that a mistake is known before hours of work.

    Raises:
        InputError: the address or the certificate file cannot be used.
    """
    host, _, port = server.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) <= _LAST_PORT:
        raise InputError("this is no address of a server", value=server, fix="Give HOST:PORT.")
    try:
        context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    except (OSError, ssl.SSLError):
        fix = "Give the operator's CA; after joining it is HOME/identity/authority.pem."
        raise InputError("the certificate authority cannot be read", value=ca, fix=fix) from None
    return http.client.HTTPSConnection(host.strip("[]"), int(port), timeout=_TIMEOUT_S, context=context)


def reach(server: str, *, ca: Path | None) -> Reached:
    """Return whether ``host:port`` answers over TLS.

    Raises:
        InputError: the address or the certificate file cannot be used.
    """
    connection = connection_to(server, ca=ca)
    begun = time.time()
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
