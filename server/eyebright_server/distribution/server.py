"""The running server: two ports, one event loop.

* Enrolment: TLS, the server authenticated. Distribution: mutual TLS, client certificates of the operator's authority
  required by the TLS layer itself, so that nobody else reaches our code.
* The server's own certificate is made at every start and never stored: it is worth nothing elsewhere.
* While it runs it renews snapshot and timestamp with the online keys, long before the timestamp ends, and warns of what
  only a person with offline keys can renew.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import grpc

from eyebright_common.errors import EyebrightError, WireError
from eyebright_common.trust import Credentials
from eyebright_common.trust.authority import PARTICIPANT_VALIDITY
from eyebright_server.distribution.bulletin import Bulletin
from eyebright_server.distribution.calls import Handler
from eyebright_server.distribution.engine_uploads import EngineUploads
from eyebright_server.distribution.limits import Rate
from eyebright_server.distribution.operator_folder import OperatorFolder, ServerAddresses
from eyebright_server.distribution.published_files import PublishedFiles
from eyebright_server.distribution.services import (
    DISTRIBUTION_RATE,
    ENROLMENT_RATE,
    Certificates,
    DistributionService,
    EnrolmentService,
)

log = logging.getLogger(__name__)
RENEW_EVERY_S = 3600.0
RENEW_UNLESS_VALID_FOR = timedelta(hours=12)
MOST_CALLS = 8192  # most of them watchers, who cost a connection and next to nothing else
# Of requests; replies are not limited by this. Who has no certificate yet sends little; a builder a piece of an engine.
LARGEST_REQUEST_BYTES, LARGEST_UPLOAD_MESSAGE_BYTES = 64 * 1024, 320 * 1024
_STOP_GRACE_S = 1.0


class DistributionServer:
    """Serves one operator's folder; ``start`` and ``stop`` belong to one event loop.

    Args:
        operator: The folder to serve.
        host: Address to listen on.
        enrolment_port: 0 for any free one; None for the one configured.
        distribution_port: Likewise.
        certificate_validity: Of units' certificates.
        enrolment_rate: Limit per address.
        distribution_rate: Limit per unit.
    """

    def __init__(
        self,
        operator: OperatorFolder,
        *,
        host: str = "127.0.0.1",
        enrolment_port: int | None = None,
        distribution_port: int | None = None,
        certificate_validity: timedelta = PARTICIPANT_VALIDITY,
        enrolment_rate: Rate = ENROLMENT_RATE,
        distribution_rate: Rate = DISTRIBUTION_RATE,
    ) -> None:
        self._operator = operator
        self._host = host
        settings = operator.settings
        self._ports = (
            settings.enrolment_port if enrolment_port is None else enrolment_port,
            settings.distribution_port if distribution_port is None else distribution_port,
        )
        certificates = Certificates(operator.authority, clock=operator.clock, validity=certificate_validity)
        enrolment = EnrolmentService(
            operator.records,
            certificates,
            lambda: operator.repository.root_metadata,
            fleet_address=operator.settings.fleet_address,
            rate=enrolment_rate,
        )
        files = PublishedFiles(operator.repository.folder)
        self._bulletin = Bulletin(operator.repository.folder)
        engines = EngineUploads(operator.engines)
        distribution = DistributionService(
            operator.records, certificates, files, self._bulletin, engines, rate=distribution_rate
        )
        self._handlers = (enrolment.handler(), distribution.handler())
        self._servers: list[grpc.aio.Server] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> ServerAddresses:
        """Listen on both ports; return where.

        Raises:
            WireError: a port cannot be had.
        """
        operator = self._operator
        tls = operator.authority.issue_server([*operator.settings.hosts, self._host], now=operator.clock())
        enrolment = self._listen(self._handlers[0], self._ports[0], _server_credentials(tls), LARGEST_REQUEST_BYTES)
        mutual = _server_credentials(tls, clients_of=operator.authority.certificate_pem)
        distribution = self._listen(self._handlers[1], self._ports[1], mutual, LARGEST_UPLOAD_MESSAGE_BYTES)
        for server in self._servers:
            await server.start()
        self._tasks = [asyncio.create_task(work) for work in (self._keep_fresh(), self._bulletin.keep_looking())]
        return ServerAddresses(enrolment=f"{self._host}:{enrolment}", distribution=f"{self._host}:{distribution}")

    async def stop(self) -> None:
        """Finish what is running, briefly, and close both ports."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*(server.stop(_STOP_GRACE_S) for server in self._servers))

    async def wait(self) -> None:
        """Serve until stopped."""
        await asyncio.gather(*(server.wait_for_termination() for server in self._servers))

    def _listen(self, handler: Handler, port: int, tls: grpc.ServerCredentials, largest_bytes: int) -> int:
        options = [*_OPTIONS, ("grpc.max_receive_message_length", largest_bytes)]
        server = grpc.aio.server(options=options, maximum_concurrent_rpcs=MOST_CALLS)
        server.add_generic_rpc_handlers((handler,))
        try:
            bound = server.add_secure_port(f"{self._host}:{port}", tls)
        except RuntimeError as error:
            raise _port_taken(self._host, port) from error
        self._servers.append(server)
        return bound

    async def _keep_fresh(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self._operator.repository.renew_online, unless_valid_for=RENEW_UNLESS_VALID_FOR)
            except EyebrightError as error:
                # Serving goes on: units notice an old timestamp by themselves and keep screening.
                log.error("the timestamp could not be renewed: %s", error)
            await asyncio.to_thread(self._warn_of_ends)
            await asyncio.sleep(RENEW_EVERY_S)

    def _warn_of_ends(self) -> None:
        """Say what only a person can renew, while there is time."""
        try:
            for role, end in self._operator.repository.ending_soon().items():
                how = "--root" if role == "root" else "--targets"
                log.warning(
                    "the %s metadata ends on %s: bring its keys and run: eyebright server renew DIR %s",
                    role,
                    f"{end:%Y-%m-%d %H:%M} UTC",
                    how,
                )
        except EyebrightError as error:
            log.error("the repository cannot be read: %s", error)


@contextmanager
def serve_in_thread(
    operator: OperatorFolder,
    *,
    host: str = "127.0.0.1",
    enrolment_port: int = 0,
    distribution_port: int = 0,
    certificate_validity: timedelta = PARTICIPANT_VALIDITY,
    enrolment_rate: Rate = ENROLMENT_RATE,
    distribution_rate: Rate = DISTRIBUTION_RATE,
) -> Iterator[ServerAddresses]:
    """Serve in a thread of this process for as long as the block lasts; any free ports by default.

    Raises:
        WireError: a port cannot be had.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="eyebright-distribution", daemon=True)
    thread.start()
    server = DistributionServer(
        operator,
        host=host,
        enrolment_port=enrolment_port,
        distribution_port=distribution_port,
        certificate_validity=certificate_validity,
        enrolment_rate=enrolment_rate,
        distribution_rate=distribution_rate,
    )
    try:
        yield asyncio.run_coroutine_threadsafe(server.start(), loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(_wind_down(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def serve_until_stopped(server: DistributionServer, *, ready: Callable[[ServerAddresses], None]) -> None:
    """Serve until SIGINT or SIGTERM; ``ready`` is told the addresses once both ports listen.

    The signals are taken by the loop, not as ``KeyboardInterrupt``: a process started in the background ignores SIGINT
    by inheritance, and SIGTERM, which service managers send, would otherwise cut streams off.

    Raises:
        WireError: a port cannot be had.
    """
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    try:
        ready(await server.start())
        serving = asyncio.ensure_future(server.wait())
        asked = asyncio.ensure_future(stopped.wait())
        await asyncio.wait((serving, asked), return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
    finally:
        await server.stop()


async def _wind_down(server: DistributionServer) -> None:
    await server.stop()
    await asyncio.get_running_loop().shutdown_default_executor()


def _server_credentials(tls: Credentials, *, clients_of: bytes | None = None) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(tls.key_pem, tls.certificate_pem)], root_certificates=clients_of, require_client_auth=clients_of is not None
    )


def _port_taken(host: str, port: int) -> WireError:
    return WireError("cannot listen", value=f"{host}:{port}", fix="Is another server running? Choose another port.")


_OPTIONS: Sequence[tuple[str, int]] = (
    ("grpc.max_metadata_size", 8 * 1024),
    ("grpc.max_concurrent_streams", 64),
    ("grpc.max_connection_idle_ms", 300_000),
    ("grpc.so_reuseport", 0),  # a second server on the same port must fail, not share it
)
