"""A PostgreSQL of the tests' own: a cluster in a temporary folder, on loopback, ended by its number.

``initdb`` and ``postgres`` refuse root, so where the tests run as root they run as the package's own user. The system's
service is neither used nor touched.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

from eyebright_simulations.federation_demo.processes import free_ports

USER, PASSWORD = "eyebright", "pass:word/with@signs"
_QUOTED = "pass%3Aword%2Fwith%40signs"
_START_S = 60.0


def find_postgres() -> Path | None:
    """Return the folder of initdb and postgres, or None; Debian keeps them out of the search path."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None, key=lambda path: path.parent.name)


@dataclass
class Cluster:
    """A running PostgreSQL."""

    port: int
    process: subprocess.Popen[bytes]
    _numbers: Iterator[int] = field(default_factory=count)

    def url(self, database: str = "postgres", *, password: str = _QUOTED) -> str:
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{database}"

    def fresh_url(self) -> str:
        """Make an empty database and return its address."""
        name = f"records_{next(self._numbers)}"
        engine = create_engine(self.url().replace("://", "+psycopg://"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return self.url(name)


@contextmanager
def running_postgres(programs: Path) -> Iterator[Cluster]:
    """Make a cluster, run it, and leave nothing of it behind."""
    folder = Path(tempfile.mkdtemp(prefix="eyebright-postgres-"))
    process = None
    try:
        data, secret = folder / "data", folder / "password"
        secret.write_text(PASSWORD)
        person = _person(folder, secret)
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", USER, "--pwfile", secret, "--auth=scram-sha-256", "--no-sync",
             "--encoding=UTF8", "--locale=C"],
            cwd=folder, check=True, stdout=subprocess.DEVNULL, **person,
        )  # fmt: skip
        (port,) = free_ports(1)
        settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": folder, "fsync": "off"}
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [programs / "postgres", "-D", data, *words], cwd=folder, stdout=log, stderr=log, **person
            )
        cluster = Cluster(port=port, process=process)
        _wait_for(cluster, folder / "log")
        yield cluster
    finally:
        if process is not None:
            process.send_signal(signal.SIGINT)  # "fast": open sessions are ended
            process.wait(60)
        shutil.rmtree(folder)


def _person(*theirs: Path) -> dict[str, Any]:
    """Return as whom to run, and give them these files; as who we are where we are not root."""
    if os.getuid() != 0:
        return {}
    person = pwd.getpwnam("postgres")
    for path in theirs:
        os.chown(path, person.pw_uid, person.pw_gid)
    return {"user": person.pw_uid, "group": person.pw_gid, "extra_groups": ()}


def _wait_for(cluster: Cluster, log: Path) -> None:
    ends = time.monotonic() + _START_S
    engine = create_engine(cluster.url().replace("://", "+psycopg://"))
    while True:
        try:
            engine.connect().close()
            return engine.dispose()
        except OperationalError:
            assert cluster.process.poll() is None, log.read_text()
            assert time.monotonic() < ends, log.read_text()
            time.sleep(0.05)
