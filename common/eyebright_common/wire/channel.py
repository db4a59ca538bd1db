"""Channels and calls, the way every caller of ours must make them.

* Always TLS; mutual TLS when there are credentials. Servers are recognised by the operator's authority alone, never by
  the authorities this machine happens to trust.
* Every call has a deadline. A call that found nobody (UNAVAILABLE) is repeated a few times with growing, jittered
  pauses, so that a thousand units do not come back in the same second; nothing else is repeated here.
* gRPC's own hidden retries are off: one place decides.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import grpc

from eyebright_common.trust import Credentials
from eyebright_common.wire.catalogue import local_error, status_of

T = TypeVar("T")
LARGEST_MESSAGE_BYTES = 8 * 1024 * 1024  # targets metadata may grow to 5 MB; python-tuf refuses more


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a caller waits and how often it comes back.

    Attributes:
        deadline_s: For one call.
        stream_deadline_s: For one stream; a slow one is cut there and resumed, as long as it moves.
        attempts: Calls in a row without progress before giving up.
        least_progress_bytes: What a stream must bring, unless the file ends before, to count as progress: one that
            drips is given up like one that is silent.
        first_pause_s: Mean pause after the first failure; doubles from there.
        longest_pause_s: Where doubling ends.
        sleep: How to wait.
        jitter: Returns a factor for a pause.
    """

    deadline_s: float = 20.0
    stream_deadline_s: float = 120.0
    attempts: int = 4
    least_progress_bytes: int = 64 * 1024
    first_pause_s: float = 0.5
    longest_pause_s: float = 30.0
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = field(default=lambda: random.uniform(0.5, 1.5))

    def pause(self, failures: int) -> None:
        """Wait after the given number of failures in a row."""
        self.sleep(min(self.first_pause_s * 2 ** (failures - 1), self.longest_pause_s) * self.jitter())


def open_channel(address: str, authority_pem: bytes, credentials: Credentials | None = None) -> grpc.Channel:
    """Return a channel to ``host:port``, mutually authenticated when there are credentials; opens nothing yet."""
    tls = grpc.ssl_channel_credentials(
        root_certificates=authority_pem,
        private_key=credentials.key_pem if credentials else None,
        certificate_chain=credentials.certificate_pem if credentials else None,
    )
    options = [
        ("grpc.enable_retries", 0),
        ("grpc.max_receive_message_length", LARGEST_MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", 600_000),  # a watcher whose line died notices; servers refuse more than one in 5 min
        # The default second before the first reconnection would hide our own pauses.
        ("grpc.initial_reconnect_backoff_ms", 100),
        # Despite its name the time a connection and its TLS handshake may take: a tenth of a second would keep out a
        # busy machine, and everybody behind a slow line.
        ("grpc.min_reconnect_backoff_ms", 20_000),
        ("grpc.max_reconnect_backoff_ms", 5_000),
    ]
    return grpc.secure_channel(address, tls, options=options)


def call_patiently(call: Callable[[float], T], *, patience: Patience, doing: str) -> T:
    """Return what ``call`` returns, given a deadline in seconds; repeats it while nobody answers.

    Raises:
        EyebrightError: the catalogue's translation of the last failure.
    """
    failures = 0
    while True:
        try:
            return call(patience.deadline_s)
        except grpc.RpcError as error:
            failures += 1
            if status_of(error)[0] is not grpc.StatusCode.UNAVAILABLE or failures >= patience.attempts:
                raise local_error(error, doing=doing) from error
        patience.pause(failures)
