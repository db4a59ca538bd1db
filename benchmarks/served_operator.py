"""An operator with many enrolled units and a server in a process of its own, for measuring distribution.

Units are enrolled past the network: what an enrolment costs is not measured here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))
from eyebright_common.trust import (
    Credentials,
    Role,
    certificate_request,
    new_certificate_key,
    public_key_digest,
    token_hash,
)
from eyebright_common.trust.keys import private_pem
from eyebright_common.wire import open_channel
from eyebright_server.distribution import OperatorFolder
from eyebright_server.release.repository import utc_now
from signed_network import write_release


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A running server.

    Attributes:
        operator: Its folder, opened.
        address: Of the distribution service.
        process: The server's.
        units: Credentials of the enrolled units.
    """

    operator: OperatorFolder
    address: str
    process: subprocess.Popen[str]
    units: list[Credentials]

    def channel(self, unit: int) -> grpc.Channel:
        """Return a channel of one unit."""
        return open_channel(self.address, self.operator.authority.certificate_pem, self.units[unit])


@contextmanager
def served_operator(folder: Path, *, units: int, model_bytes: int) -> Iterator[Served]:
    """Make an operator with one release and ``units`` units, and serve it until the block ends."""
    operator = OperatorFolder.create(folder / "operator")
    model = bytes(range(256)) * (model_bytes // 256)
    operator.repository.publish(write_release(folder / "release-1", files={"model.onnx": model}))
    enrolled = [_enrolled(operator, f"unit-{number}") for number in range(units)]
    command = [
        sys.executable,
        "-c",
        "from eyebright_common.cli import main; main()",
        "server",
        "serve",
        str(folder / "operator"),
        "--json",
    ]
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--port", "0", "--enrolment-port", "0"], stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            assert process.stdout is not None
            address = json.loads(process.stdout.readline())["distribution"]
            yield Served(operator=operator, address=address, process=process, units=enrolled)
        finally:
            process.terminate()
            process.wait()
            if process.stdout:
                process.stdout.close()
            operator.close()


def _enrolled(operator: OperatorFolder, name: str) -> Credentials:
    key = new_certificate_key()
    invitation = operator.invite(name)
    request = certificate_request(key, role=Role.UNIT, name=name)
    _, certificate = operator.records.redeem(
        token_hash=token_hash(invitation.token),
        key_digest=public_key_digest(key),
        now=utc_now(),
        issue=lambda role, called: operator.authority.sign_request(request, role=role, name=called, now=utc_now()),
    )
    return Credentials(key_pem=private_pem(key), certificate_pem=certificate)
