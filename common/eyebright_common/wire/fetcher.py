"""python-tuf's transport over our gRPC service.

* The first chunk is pulled before the iterator is handed over: python-tuf translates only errors that happen then.
  Whatever happens later is raised as its ``DownloadError`` from inside the iterator.
* NOT_FOUND becomes HTTP 404, because the search for a newer root ends with exactly that.
* What arrives of a target is kept in a part file. A cut stream goes on from there, in the same call while it makes
  progress and in the next run otherwise. A part file is trusted no more than the network: python-tuf hashes the
  whole, and the update client has the part forgotten when the hash does not hold.
* A server that drips (the slow-retrieval attack) makes no progress: each stream is cut at its deadline, and one that
  brought next to nothing counts as a failed one.
* A target's name holds its hash, so a part can only ever be of the same content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import grpc
from tuf.api.exceptions import DownloadError, DownloadHTTPError
from tuf.ngclient import FetcherInterface

from eyebright_common.errors import EyebrightError, InputError, NotPublished, WireError
from eyebright_common.trust import split_url
from eyebright_common.wire.catalogue import local_error, status_of
from eyebright_common.wire.client import Chunk, DistributionClient
from eyebright_common.wire.methods import CHUNK_BYTES

_CUT = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}


class GrpcFetcher(FetcherInterface):
    """Fetches metadata and targets from the distribution server, resuming targets.

    Args:
        client: The connection; the fetcher does not close it.
        parts: Folder for the beginnings of cut downloads.
    """

    def __init__(self, client: DistributionClient, parts: Path) -> None:
        self._client = client
        self._parts = parts
        self.requests = 0
        self.bytes_received = 0

    def forget(self, target: str) -> None:
        """Drop the kept beginning of a target."""
        self._part(target).unlink(missing_ok=True)

    def _fetch(self, url: str) -> Iterator[bytes]:
        kind, name = split_url(url)
        if kind == "metadata":
            return iter([self._fetch_metadata(name)])
        pieces = self._target(name)
        first = next(pieces)
        return chain([first], pieces)

    def _fetch_metadata(self, name: str) -> bytes:
        self.requests += 1
        try:
            data = self._client.metadata(name)
        except EyebrightError as error:
            raise _download_error(error) from error
        self.bytes_received += len(data)
        return data

    def _target(self, name: str) -> Iterator[bytes]:
        """Yield the whole target: what is kept of it, then what is fetched."""
        self._parts.mkdir(parents=True, exist_ok=True)
        part = self._part(name)
        yield from _kept(part)
        offset = part.stat().st_size if part.exists() else 0
        failures = 0
        while True:
            reached = offset
            try:
                with part.open("ab") as kept:
                    for chunk in self._stream(name, offset):
                        kept.write(chunk.data)
                        offset += len(chunk.data)
                        yield chunk.data
                        if offset == chunk.total_bytes:
                            return
                problem: EyebrightError = WireError("a download ended early", value=name, fix="Try again.")
            except grpc.RpcError as error:
                problem = local_error(error, doing="fetching a release")
                if status_of(error)[0] not in _CUT:
                    self._forget_if_refused(name, problem)
                    raise _download_error(problem) from problem
            except WireError as error:
                problem = error
            patience = self._client.patience
            failures = 1 if offset - reached >= patience.least_progress_bytes else failures + 1
            if failures >= patience.attempts:
                raise _download_error(problem) from problem
            patience.pause(failures)

    def _stream(self, name: str, offset: int) -> Iterator[Chunk]:
        self.requests += 1
        for chunk in self._client.target(name, offset):
            self.bytes_received += len(chunk.data)
            yield chunk

    def _forget_if_refused(self, name: str, problem: EyebrightError) -> None:
        # The server refuses an offset beyond the end: our part is longer than the file, so it is not of the file.
        if isinstance(problem, InputError):
            self.forget(name)

    def _part(self, name: str) -> Path:
        return self._parts / f"{hashlib.sha256(name.encode()).hexdigest()}.part"


def _kept(part: Path) -> Iterator[bytes]:
    if part.exists():
        with part.open("rb") as file:
            while piece := file.read(CHUNK_BYTES):
                yield piece


def _download_error(error: EyebrightError) -> DownloadError:
    if isinstance(error, NotPublished):
        return DownloadHTTPError(str(error), 404)
    return DownloadError(str(error))
