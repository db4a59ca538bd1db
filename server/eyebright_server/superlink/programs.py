"""The command lines of the two programs, and the environment in which Flower stays quiet and at home."""

from __future__ import annotations

import sys
from pathlib import Path

from eyebright_common.supervision import Program
from eyebright_server.distribution import OperatorFolder
from eyebright_server.superlink.credentials import LOOPBACK, superlink_folder
from eyebright_server.superlink.nginx import find_nginx

QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
}


def superlink_program(operator: OperatorFolder) -> Program:
    """Return the SuperLink: TLS, registered nodes only, a database, no app of its own, loopback."""
    folder = superlink_folder(operator).resolve()
    command = (
        str(Path(sys.executable).parent / "flower-superlink"),
        *("--host", LOOPBACK, "--port", str(operator.settings.superlink_port)),
        *("--ssl-certfile", str(folder / "loopback.pem"), "--ssl-keyfile", str(folder / "loopback.key")),
        *("--ssl-ca-certfile", str((operator.folder / "ca" / "ca.pem").resolve())),
        "--enable-supernode-auth",
        *("--database", str(folder / "superlink.sqlite")),
        *("--isolation", "process", "--superexec-auth-secret-file", str(folder / "runtime.secret")),
        "--disable-runtime-dependency-installation",
    )
    environment = {**QUIET, "FLWR_HOME": str(folder / "flwr")}
    return Program(name="superlink", command=command, environment=environment, log=folder / "superlink.log")


def nginx_program(operator: OperatorFolder, configuration: Path) -> Program:
    """Return nginx with our configuration and nothing of the system's.

    Raises:
        InputError: nginx is not installed.
    """
    folder = superlink_folder(operator).resolve()
    command = (find_nginx(), "-p", str(folder), "-c", str(configuration.resolve()), "-e", "stderr")
    return Program(name="nginx", command=command, log=folder / "nginx.log")
