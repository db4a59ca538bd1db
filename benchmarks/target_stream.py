"""What a unit waits for a release: the target stream over mutual TLS against nginx handing out the same file over TLS.

    python benchmarks/target_stream.py [--json]

Both servers are processes of their own on loopback; both clients are this process, and each throws the bytes away. Ours
checks a CRC for every chunk besides. Runs are interleaved. Needs nginx.
"""

from __future__ import annotations

import http.client
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from claim import Claim, asks_for_json, show
from served_operator import Served, served_operator

from eyebright_common.wire import CHUNK_BYTES, DistributionClient
from eyebright_server.release.repository import utc_now

RUNS = 7
FILE_BYTES = 128 * 1024 * 1024


def main() -> None:
    """Measure and print."""
    as_json = asks_for_json(__doc__)
    if shutil.which("nginx") is None:
        sys.exit("nginx is not installed: apt-get install nginx-light")
    with tempfile.TemporaryDirectory() as place, served_operator(Path(place), units=1, model_bytes=FILE_BYTES) as ours:
        targets = ours.operator.repository.folder / "targets"
        (path,) = targets.rglob("*.model.onnx")
        name = path.relative_to(targets).as_posix()
        with nginx(Path(place) / "nginx", ours, targets) as port:
            arms = [(_through_grpc(ours, name), _through_nginx(ours, port, name)) for _ in range(RUNS)]
    stream, baseline = (statistics.median(arm) for arm in zip(*arms, strict=True))
    claim = Claim(
        name="target_stream",
        what=f"{FILE_BYTES >> 20} MB over mutual TLS ({FILE_BYTES / stream / 1e6:.0f} MB/s)",
        value=stream,
        unit="s",
        baseline_name=f"nginx, the same file over TLS ({FILE_BYTES / baseline / 1e6:.0f} MB/s)",
        baseline_value=baseline,
        target=1.25,  # at least 0.8 times its throughput
        target_on="ratio",
        runs=RUNS,
    )
    show([claim], as_json=as_json)


def _through_grpc(ours: Served, name: str) -> float:
    with DistributionClient(ours.channel(0)) as client:
        client.metadata("timestamp.json")  # the handshake is not what is measured
        started = time.perf_counter()
        came = sum(len(chunk.data) for chunk in client.target(name, 0))
        assert came == FILE_BYTES
        return time.perf_counter() - started


def _through_nginx(ours: Served, port: int, name: str) -> float:
    trust = ssl.create_default_context(cadata=ours.operator.authority.certificate_pem.decode())
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=trust)
    connection.connect()
    started = time.perf_counter()
    connection.request("GET", f"/{name}")
    answer, came = connection.getresponse(), 0
    buffer = memoryview(bytearray(CHUNK_BYTES))
    while read := answer.readinto(buffer):
        came += read
    assert came == FILE_BYTES
    seconds = time.perf_counter() - started
    connection.close()
    return seconds


@contextmanager
def nginx(folder: Path, ours: Served, root: Path) -> Iterator[int]:
    """Serve ``root`` with nginx over TLS, with a certificate of the same authority; return the port."""
    folder.mkdir()
    tls = ours.operator.authority.issue_server(["127.0.0.1"], now=utc_now())
    (folder / "key.pem").write_bytes(tls.key_pem)
    (folder / "certificate.pem").write_bytes(tls.certificate_pem)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "nginx.conf").write_text(f"""
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{}}
http {{
  access_log off; sendfile on;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{
    listen 127.0.0.1:{port} ssl; root {root};
    ssl_certificate {folder}/certificate.pem; ssl_certificate_key {folder}/key.pem;
  }}
}}""")
    for part in (folder, *folder.parents[:1]):
        part.chmod(0o755)
    process = subprocess.Popen(["nginx", "-c", str(folder / "nginx.conf"), "-g", "user root;"])
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
