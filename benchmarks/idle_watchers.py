"""What a unit costs that only waits to hear of a release: memory of the server under a thousand idle watchers.

    python benchmarks/idle_watchers.py [--json]

Each watcher has a certificate and a connection of its own, as units have. Baseline: the server before anybody came.
Afterwards one release is published, and every watcher must hear of it.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import grpc
import psutil
from claim import Claim, asks_for_json, show
from served_operator import Served, served_operator

from eyebright_common.wire import distribution_pb2 as pb
from eyebright_common.wire.methods import WATCH
from signed_network import write_release

WATCHERS = 1000
LIMIT_MB = 150.0


def main() -> None:
    """Measure and print."""
    as_json = asks_for_json(__doc__)
    with tempfile.TemporaryDirectory() as place, served_operator(Path(place), units=WATCHERS, model_bytes=4096) as ours:
        before, held, heard_s = asyncio.run(_watch(ours, Path(place)))
    claim = Claim(
        name="idle_watchers",
        what=f"{WATCHERS} idle watchers held; all heard of a release within {heard_s:.1f} s",
        value=held - before,
        unit="MB",
        baseline_name="the server before anybody came",
        baseline_value=before,
        target=LIMIT_MB,
        target_on="value",
        runs=1,
    )
    show([claim], as_json=as_json)


async def _watch(ours: Served, place: Path) -> tuple[float, float, float]:
    """Return the server's memory before and with all watchers, in MB, and the seconds until the last one heard."""
    server = psutil.Process(ours.process.pid)
    heard = asyncio.Semaphore(0)
    told: list[float] = []

    async def watcher(number: int) -> None:
        unit = ours.units[number]
        tls = grpc.ssl_channel_credentials(ours.operator.authority.certificate_pem, unit.key_pem, unit.certificate_pem)
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.secure_channel(ours.address, tls, options=options) as channel:
            watch = channel.unary_stream(
                WATCH.path,
                request_serializer=WATCH.request.SerializeToString,
                response_deserializer=WATCH.reply.FromString,
            )
            stream = watch(pb.WatchRequest(mark=""))
            await stream.read()
            heard.release()
            await stream.read()
            told.append(time.perf_counter())
            stream.cancel()

    before = server.memory_info().rss / 1e6
    watchers = []
    for number in range(WATCHERS):
        watchers.append(asyncio.create_task(watcher(number)))
        if number % 50 == 49:
            await asyncio.sleep(0.1)  # a thousand handshakes at once would measure the queue, not the waiting
    for _ in range(WATCHERS):
        await heard.acquire()
    await asyncio.sleep(2)
    held = server.memory_info().rss / 1e6
    published = time.perf_counter()
    release = write_release(place / "release-2", version="2", files={"model.onnx": b"two"})
    await asyncio.to_thread(ours.operator.repository.publish, release)
    await asyncio.gather(*watchers)
    assert len(told) == WATCHERS
    return before, held, max(told) - published


if __name__ == "__main__":
    sys.exit(main())
