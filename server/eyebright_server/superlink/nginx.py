"""nginx before the SuperLink: what passes, and where the program is.

The rule stands in ``templates/nginx.conf.j2``: POST to ``/v1/fleet/NAME``, compared with the request line as it was
sent, and nothing else.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from eyebright_common.durable import write_bytes
from eyebright_common.errors import InputError
from eyebright_server.distribution import OperatorFolder
from eyebright_server.superlink.credentials import LOOPBACK, superlink_folder

_SYSTEM_FOLDERS = "/usr/sbin:/usr/local/sbin"


def find_nginx() -> str:
    """Return the program's path.

    Raises:
        InputError: it is not installed.
    """
    found = shutil.which("nginx") or shutil.which("nginx", path=_SYSTEM_FOLDERS)
    if found is None:
        raise InputError("nginx is not installed", fix="On Debian: apt-get install nginx-light")
    return found


def nginx_configuration(operator: OperatorFolder, *, listen: Sequence[str] = (LOOPBACK,)) -> str:
    """Return the configuration for an operator's folder.

    Args:
        operator: Whose certificates and ports stand in it.
        listen: Addresses hospitals may come in by.
    """
    template = (files("eyebright_server.superlink") / "templates" / "nginx.conf.j2").read_text()
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    return environment.from_string(template).render(
        folder=superlink_folder(operator).resolve(),
        authority=(operator.folder / "ca" / "ca.pem").resolve(),
        listen=[f"[{address}]" if ":" in address else address for address in listen],
        fleet_port=operator.settings.fleet_port,
        superlink=f"{LOOPBACK}:{operator.settings.superlink_port}",
    )


def write_nginx_configuration(operator: OperatorFolder, *, listen: Sequence[str]) -> Path:
    """Write the configuration into the operator's folder and return where."""
    path = superlink_folder(operator) / "nginx.conf"
    write_bytes(path, nginx_configuration(operator, listen=listen).encode())
    return path
