"""Sending an engine to the server: offered first, then sent from where the server says, again and again while it moves.

The server keeps what arrived of a stream that was cut. Each stream is cut at its deadline at the latest and the engine
is offered anew: a slow line needs several streams, and a stream that brought next to nothing counts as a failure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import grpc

from eyebright_common.release.engines import EngineUpload
from eyebright_common.wire.catalogue import local_error, status_of
from eyebright_common.wire.client import DistributionClient
from eyebright_common.wire.methods import CHUNK_BYTES

WANTED = "wanted"
_CUT = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}


def upload_engine(
    client: DistributionClient,
    upload: EngineUpload,
    engine: Path,
    *,
    on_progress: Callable[[float], None] = lambda share: None,
) -> str:
    """Return what became of an engine: ``waiting`` for its signature, or ``signed`` already.

    Args:
        client: A builder's connection.
        upload: The engine's description.
        engine: Its bytes.
        on_progress: Told the share that was sent, 0–1.

    Raises:
        ReleaseError: it fits no published release.
        TargetRejected: what arrived is not what was described.
        WireError: the connection failed; calling again goes on where it was cut.
        EyebrightError: the server refuses it.
    """
    description = upload.model_dump_json().encode()
    failures, before = 0, 0
    while True:
        state, offset = client.offer_engine(description)
        if state != WANTED:
            return state
        if failures and offset - before >= client.patience.least_progress_bytes:
            failures = 0
        before = offset
        try:
            return client.send_engine(upload.sha256, _pieces(engine, offset, on_progress))
        except grpc.RpcError as error:
            failures += 1
            if status_of(error)[0] not in _CUT or failures >= client.patience.attempts:
                raise local_error(error, doing="sending an engine") from error
        client.patience.pause(failures)


def _pieces(engine: Path, offset: int, on_progress: Callable[[float], None]) -> Iterator[tuple[int, bytes]]:
    size = max(1, engine.stat().st_size)
    with engine.open("rb") as file:
        file.seek(offset)
        while piece := file.read(CHUNK_BYTES):
            yield offset, piece
            offset += len(piece)
            on_progress(offset / size)
