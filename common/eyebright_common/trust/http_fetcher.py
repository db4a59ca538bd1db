"""Updates from a static web server: the exported repository behind any server that can hand out files.

* The transport is as little trusted as a stick: whatever arrives is checked by its signatures, so plain HTTP is enough
  for genuineness; HTTPS hides who asks for what.
* Redirections are not followed: a repository has one address, and a server that sends units elsewhere is misconfigured.
* A server that drips is given up (``LeastRate``): the slow-retrieval attack keeps a client busy for ever.
* A cut download begins anew; only the distribution service resumes. Files of a release that are complete are kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from urllib.parse import quote, urlsplit

import urllib3
from tuf.api.exceptions import DownloadError, DownloadHTTPError, SlowRetrievalError
from tuf.ngclient import FetcherInterface

from eyebright_common.closing import Closing
from eyebright_common.errors import InputError
from eyebright_common.trust.folder_fetcher import split_url

_CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LeastRate:
    """How slow a sender may be before it counts as an attacker.

    Attributes:
        bytes_per_s: Over every window.
        window_s: How long a pause is forgiven.
        clock: Monotonic seconds.
    """

    bytes_per_s: float = 1024.0
    window_s: float = 30.0
    clock: Callable[[], float] = time.monotonic


def paced(pieces: Iterable[bytes], rate: LeastRate) -> Iterator[bytes]:
    """Yield ``pieces`` for as long as they come fast enough.

    Raises:
        SlowRetrievalError: a whole window brought less than the rate.
    """
    began, came = rate.clock(), 0
    for piece in pieces:
        came += len(piece)
        yield piece
        now = rate.clock()
        if now - began >= rate.window_s:
            if came < rate.bytes_per_s * (now - began):
                raise SlowRetrievalError(f"{came} bytes in {now - began:.0f} seconds")
            began, came = now, 0


class HttpFetcher(FetcherInterface, Closing):
    """Fetches from a static web server.

    Args:
        base_url: Address of the exported repository; holds ``metadata/`` and ``targets/``.
        metadata_url: Address of the metadata, when it lies elsewhere.
        targets_url: Address of the targets, when they lie elsewhere.
        timeout_s: For a connection, and for a silence.
        rate: How slow the server may be.

    Raises:
        InputError: an address is not ``http://`` or ``https://``.
    """

    def __init__(
        self,
        base_url: str,
        *,
        metadata_url: str | None = None,
        targets_url: str | None = None,
        timeout_s: float = 20.0,
        rate: LeastRate | None = None,
    ) -> None:
        base = base_url.rstrip("/")
        self._bases = {
            "metadata": _checked(metadata_url or f"{base}/metadata"),
            "targets": _checked(targets_url or f"{base}/targets"),
        }
        self._rate = rate or LeastRate()
        self._timeout = urllib3.Timeout(connect=timeout_s, read=timeout_s)
        self._pool = urllib3.PoolManager(retries=False)
        self._answer: urllib3.BaseHTTPResponse | None = None
        self.requests = 0

    def close(self) -> None:
        """Close the connection."""
        self._hang_up()
        self._pool.clear()

    def _hang_up(self) -> None:
        # python-tuf simply stops reading an answer that is too long; the connection is then ours to close.
        if self._answer is not None:
            self._answer.close()
            self._answer = None

    def _fetch(self, url: str) -> Iterator[bytes]:
        kind, name = split_url(url)
        # python-tuf quotes the names of metadata and leaves the paths of targets as they are.
        path = name if kind == "metadata" else quote(name, safe="/")
        self._hang_up()
        self.requests += 1
        try:
            answer = self._pool.request(
                "GET", f"{self._bases[kind]}/{path}", preload_content=False, redirect=False, timeout=self._timeout
            )
        except urllib3.exceptions.HTTPError as error:
            raise DownloadError(f"the web server cannot be reached ({type(error).__name__})") from error
        if answer.status != 200:
            answer.close()
            raise DownloadHTTPError(f"the web server answered {answer.status} for {name}", answer.status)
        self._answer = answer
        pieces = paced(_pieces(answer), self._rate)
        return chain([next(pieces, b"")], pieces)  # what fails at once fails here, where python-tuf translates it


def _pieces(answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    # `read1` gives what is there: `stream` would wait for a whole chunk, and a server that drips would never be timed.
    try:
        while piece := answer.read1(_CHUNK_BYTES):
            yield piece
    except urllib3.exceptions.HTTPError as error:
        raise DownloadError(f"a download broke off ({type(error).__name__})") from error


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise InputError("this is not the address of a web server", value=url[:120], fix="Begin it with https://.")
    return url.rstrip("/")
