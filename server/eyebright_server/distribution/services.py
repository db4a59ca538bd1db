"""What the two services do, call by call.

* Reading files and records blocks, so it happens in worker threads; the event loop only moves messages.
* Enrolment is limited per address, since nobody is known yet; distribution per unit.
* Every distribution call asks the records again: a revoked unit is out with its next call, not with its next
  connection. A target that has begun is let through to its end; a watcher is asked about before it is told anything.
* One participant holds few streams at once, and none for ever.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta

from eyebright_common.errors import InputError
from eyebright_common.trust import (
    CertificateAuthority,
    IssuedCertificate,
    PeerIdentity,
    Role,
    public_key_digest,
    requested_key,
    token_hash,
)
from eyebright_common.wire import distribution_pb2 as pb
from eyebright_common.wire import read_report
from eyebright_common.wire.methods import (
    DISTRIBUTION_SERVICE,
    ENROLL,
    ENROLMENT_SERVICE,
    FETCH_TARGET,
    GET_METADATA,
    LEAVE,
    OFFER_ENGINE,
    RENEW,
    REPORT,
    SEND_ENGINE,
    WATCH,
)
from eyebright_server.distribution.authorisation import require_role, require_target
from eyebright_server.distribution.bulletin import Bulletin
from eyebright_server.distribution.calls import (
    Context,
    Handler,
    packed_stream_handler,
    peer_host,
    peer_identity,
    service,
    stream_handler,
    unary_handler,
    upload_handler,
)
from eyebright_server.distribution.engine_uploads import EngineUploads
from eyebright_server.distribution.limits import Places, Rate, RateLimiter
from eyebright_server.distribution.published_files import Pieces, PublishedFiles
from eyebright_server.records import Records
from eyebright_server.superlink.registrations import register_node

ENROLMENT_RATE = Rate(burst=20, per_second=0.5)
DISTRIBUTION_RATE = Rate(burst=200, per_second=10)
LONGEST_NAME = 512
TARGETS_EACH, WATCHES_EACH = 4, 2
LONGEST_TARGET_S, LONGEST_WATCH_S, LONGEST_UPLOAD_S, LONGEST_SILENCE_S = 900.0, 7200.0, 1800.0, 60.0


class Certificates:
    """Issues participants' certificates from the authority.

    Args:
        authority: The operator's.
        clock: The present time.
        validity: How long a certificate holds.
    """

    def __init__(self, authority: CertificateAuthority, *, clock: Callable[[], datetime], validity: timedelta) -> None:
        self.authority = authority
        self.clock = clock
        self._validity = validity

    def issue(self, request_pem: bytes) -> Callable[[Role, str], IssuedCertificate]:
        """Return how to issue a certificate for a request, once it is known for whom."""
        return lambda role, name: self.authority.sign_request(
            request_pem, role=role, name=name, now=self.clock(), validity=self._validity
        )


class EnrolmentService:
    """Exchanges invitations for certificates."""

    def __init__(
        self,
        records: Records,
        certificates: Certificates,
        root_metadata: Callable[[], bytes],
        *,
        fleet_address: str = "",
        rate: Rate = ENROLMENT_RATE,
    ) -> None:
        self._records = records
        self._certificates = certificates
        self._root_metadata = root_metadata
        self._fleet_address = fleet_address
        self._limiter = RateLimiter(rate, time.monotonic)

    def handler(self) -> Handler:
        """Return the service for a gRPC server."""
        return service(ENROLMENT_SERVICE, dict([unary_handler(ENROLL, self._enroll)]))

    async def _enroll(self, request: pb.EnrollRequest, context: Context) -> pb.EnrollReply:
        self._limiter.spend(peer_host(context))
        return await asyncio.to_thread(self._redeem, request)

    def _redeem(self, request: pb.EnrollRequest) -> pb.EnrollReply:
        name, certificate = self._records.redeem(
            token_hash=token_hash(request.token),
            key_digest=public_key_digest(requested_key(request.certificate_request_pem)),
            now=self._certificates.clock(),
            issue=self._certificates.issue(request.certificate_request_pem),
        )
        reply = pb.EnrollReply(
            certificate_pem=certificate,
            authority_pem=self._certificates.authority.certificate_pem,
            root_metadata=self._root_metadata(),
            name=name,
        )
        if request.node_public_key_pem:
            # Its own transaction, after the invitation's: cut in between, the hospital asks again and it is made up.
            node = register_node(
                self._records, name=name, public_key_pem=request.node_public_key_pem, now=self._certificates.clock()
            )
            reply.site_index, reply.fleet_address = node.site_index, self._fleet_address
        return reply


class DistributionService:
    """Serves metadata and targets to units, listens to their reports, and takes builders' engines."""

    def __init__(
        self,
        records: Records,
        certificates: Certificates,
        files: PublishedFiles,
        bulletin: Bulletin,
        engines: EngineUploads,
        *,
        rate: Rate = DISTRIBUTION_RATE,
    ) -> None:
        self._records = records
        self._certificates = certificates
        self._files = files
        self._pieces = Pieces()
        self._bulletin = bulletin
        self._engines = engines
        self._limiter = RateLimiter(rate, time.monotonic)
        self._targets_held, self._watches_held = Places(TARGETS_EACH), Places(WATCHES_EACH)

    def handler(self) -> Handler:
        """Return the service for a gRPC server."""
        handlers = [
            unary_handler(GET_METADATA, self._get_metadata),
            packed_stream_handler(FETCH_TARGET, self._fetch_target, longest_s=LONGEST_TARGET_S),
            stream_handler(WATCH, self._watch, longest_s=LONGEST_WATCH_S),
            unary_handler(REPORT, self._take_report),
            unary_handler(RENEW, self._renew),
            unary_handler(OFFER_ENGINE, self._offer_engine),
            upload_handler(SEND_ENGINE, self._send_engine, longest_s=LONGEST_UPLOAD_S, silence_s=LONGEST_SILENCE_S),
            unary_handler(LEAVE, self._leave),
        ]
        return service(DISTRIBUTION_SERVICE, dict(handlers))

    async def _get_metadata(self, request: pb.GetMetadataRequest, context: Context) -> pb.GetMetadataReply:
        await self._admitted(context, GET_METADATA.name)
        return pb.GetMetadataReply(data=await asyncio.to_thread(self._files.metadata, _short(request.name)))

    async def _fetch_target(self, request: pb.FetchTargetRequest, context: Context) -> AsyncIterator[bytes]:
        peer = await self._admitted(context, FETCH_TARGET.name)
        require_target(peer, request.path)
        path, total = await asyncio.to_thread(self._files.target, _short(request.path), request.offset)
        with self._targets_held.one(peer.uri):
            messages, offset = await asyncio.to_thread(self._pieces.read_ahead, path, request.offset, total)
            while offset < total:
                # The next are read while these are sent; a file that ended early is sent as far as it goes.
                reading = asyncio.create_task(asyncio.to_thread(self._pieces.read_ahead, path, offset, total))
                try:
                    for message in messages:
                        yield message
                finally:
                    (messages, after) = await reading
                if after == offset:
                    break
                offset = after
            for message in messages:
                yield message

    async def _watch(self, request: pb.WatchRequest, context: Context) -> AsyncIterator[pb.WatchReply]:
        peer = await self._admitted(context, WATCH.name)
        with self._watches_held.one(peer.uri):
            mark = _short(request.mark)
            while True:
                mark = await self._bulletin.after(mark)
                await asyncio.to_thread(self._authorise, peer)  # it may have been revoked while it waited
                yield pb.WatchReply(mark=mark)

    async def _take_report(self, request: pb.ReportRequest, context: Context) -> pb.ReportReply:
        peer = await self._admitted(context, REPORT.name)
        await asyncio.to_thread(self._keep_report, peer, request.status_json)
        return pb.ReportReply()

    async def _renew(self, request: pb.RenewRequest, context: Context) -> pb.RenewReply:
        peer = await self._admitted(context, RENEW.name)
        return pb.RenewReply(
            certificate_pem=await asyncio.to_thread(self._renewed, peer, request.certificate_request_pem)
        )

    async def _leave(self, request: pb.LeaveRequest, context: Context) -> pb.LeaveReply:
        peer = await self._admitted(context, LEAVE.name)
        await asyncio.to_thread(lambda: self._records.revoke(peer.name, now=self._certificates.clock(), role=peer.role))
        return pb.LeaveReply()

    async def _offer_engine(self, request: pb.OfferEngineRequest, context: Context) -> pb.OfferEngineReply:
        peer = await self._admitted(context, OFFER_ENGINE.name)
        return await self._engines.offer(peer, request)

    async def _send_engine(self, chunks: AsyncIterator[pb.EngineChunk], context: Context) -> pb.SendEngineReply:
        peer = await self._admitted(context, SEND_ENGINE.name)
        return await self._engines.receive(peer, chunks)

    async def _admitted(self, context: Context, method: str) -> PeerIdentity:
        """Return who calls, when it may call ``method``, not too often, with a certificate in force."""
        peer = peer_identity(context)
        self._limiter.spend(peer.uri)
        require_role(peer, method)
        await asyncio.to_thread(self._authorise, peer)
        return peer

    def _authorise(self, peer: PeerIdentity) -> None:
        self._records.authorise(peer, role=peer.role, now=self._certificates.clock())

    def _keep_report(self, peer: PeerIdentity, status_json: str) -> None:
        self._records.keep_report(peer.name, read_report(status_json), now=self._certificates.clock())

    def _renewed(self, peer: PeerIdentity, request_pem: bytes) -> bytes:
        return self._records.renew(
            peer,
            key_digest=public_key_digest(requested_key(request_pem)),
            now=self._certificates.clock(),
            issue=self._certificates.issue(request_pem),
        )


def _short(name: str) -> str:
    if len(name) > LONGEST_NAME:
        raise InputError("a requested name is too long", value=len(name))
    return name
