"""A thousand units take the same release after one publication: the server's work, memory and bytes; is any lost?

    python benchmarks/fleet_update.py [--json] [--units N]

Every unit is a whole update client with a certificate, a connection and a folder of its own: it refreshes, downloads,
verifies and reports. Baseline, in the same run: the server's work for one unit that comes alone.

Each takes the networks that it computes with, as a machine with only a CPU, which computes with INT8. The files
have the sizes of a MobileNetV2's networks. Baseline of the bytes: the whole release.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
from claim import Claim, show
from served_operator import Served, served_operator

from eyebright_common.trust import UpdateClient
from eyebright_common.wire import DistributionClient, GrpcFetcher, UnitStatus
from signed_network import write_release

AT_ONCE = 32
ALONE = 20
MODEL_BYTES = 1024 * 1024
# Of a MobileNetV2 (docs/guides/release.md), as shares of its FP32 network.
NETWORKS = {"model.onnx": 1.0, "model.fp16.onnx": 0.50, "model.int8.onnx": 0.29}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print for machines")
    parser.add_argument("--units", type=int, default=1000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        with served_operator(place, units=given.units + ALONE, model_bytes=MODEL_BYTES) as ours:
            claims = _measure(ours, place, given.units)
    show(claims, as_json=given.json)


def _measure(ours: Served, place: Path, units: int) -> list[Claim]:
    server = psutil.Process(ours.process.pid)
    _updated(ours, place, 0, "1")
    for number in range(1, units + ALONE):  # everybody knows the first release already
        shutil.copytree(place / "unit-0" / "tuf", place / f"unit-{number}" / "tuf", dirs_exist_ok=True, symlinks=True)
    files = {name: b"2" * int(share * MODEL_BYTES) for name, share in NETWORKS.items()}
    release = write_release(place / "release-2", version="2", files=files)
    ours.operator.repository.publish(release)
    alone_cpu, alone_s = _work(server), time.perf_counter()
    for number in range(units, units + ALONE):
        _updated(ours, place, number, "2")
    alone_cpu, alone_s = (_work(server) - alone_cpu) / ALONE, (time.perf_counter() - alone_s) / ALONE
    received, before = 0, server.memory_info().rss / 1e6
    cpu, started, peak = _work(server), time.perf_counter(), before
    with ThreadPoolExecutor(AT_ONCE) as crowd:
        running = [crowd.submit(_updated, ours, place, number, "2") for number in range(units)]
        for each in running:
            received += each.result()
            peak = max(peak, server.memory_info().rss / 1e6)
    wall, cpu = time.perf_counter() - started, _work(server) - cpu
    reported = {row.name for row in ours.operator.records.participants() if ours.operator.records.reports(row.name)}
    assert len(reported) >= units + ALONE, f"{units + ALONE - len(reported)} units were lost"
    return [
        Claim(
            name="fleet_update.work",
            what=f"the server's work per unit, {units} units of {AT_ONCE} at once in {wall:.0f} s, none lost",
            value=cpu / units * 1e3,
            unit="ms",
            baseline_name="one unit at a time",
            baseline_value=alone_cpu * 1e3,
            target=1.25,
            target_on="ratio",
            runs=units,
        ),
        Claim(
            name="fleet_update.memory",
            what="the server's largest resident size meanwhile",
            value=peak,
            unit="MB",
            baseline_name="before the crowd",
            baseline_value=before,
            target=1.5,
            target_on="ratio",
            runs=units,
        ),
        Claim(
            name="fleet_update.bytes",
            what="what a unit fetches of a release with three networks, metadata included",
            value=received / units / 1e6,
            unit="MB",
            baseline_name="every network",
            baseline_value=sum(file.stat().st_size for file in release.iterdir()) / 1e6,
            target=0.8,
            target_on="ratio",
            runs=units,
        ),
    ]


def _updated(ours: Served, place: Path, number: int, version: str) -> int:
    """Let a unit take a release; return the bytes that it received."""
    folder = place / f"unit-{number}"
    root = (ours.operator.repository.folder / "metadata" / "1.root.json").read_bytes()
    with DistributionClient(ours.channel(number)) as client:
        fetcher = GrpcFetcher(client, folder / "parts")
        updates = UpdateClient(folder / "tuf", fetcher, root)
        updates.refresh()
        updates.download_release(
            "fundus", version, folder / f"slot-{version}", leave_out=lambda described: {"model.fp16.onnx"}
        )
        client.report(UnitStatus(task="fundus", active_version=version, state="installed", software="1"))
    return fetcher.bytes_received


def _work(server: psutil.Process) -> float:
    spent = server.cpu_times()
    return float(spent.user + spent.system)


if __name__ == "__main__":
    sys.exit(main())
