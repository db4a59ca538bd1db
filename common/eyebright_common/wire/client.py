"""The unit's side of the distribution service, one method per procedure."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, cast

import grpc
from google.protobuf.message import Message

from eyebright_common.closing import Closing
from eyebright_common.errors import WireError
from eyebright_common.trust import UnitIdentity
from eyebright_common.wire import distribution_pb2 as pb
from eyebright_common.wire.catalogue import local_error, status_of
from eyebright_common.wire.channel import Patience, call_patiently, open_channel
from eyebright_common.wire.methods import (
    CHUNK_BYTES,
    FETCH_TARGET,
    GET_METADATA,
    LEAVE,
    OFFER_ENGINE,
    RENEW,
    REPORT,
    SEND_ENGINE,
    WATCH,
    Method,
    ReplyT,
    RequestT,
)
from eyebright_common.wire.report import UnitStatus


class _Cancellable(Protocol):
    # What a call in progress can do; gRPC's published types leave this method untyped.
    def cancel(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A checked piece of a target.

    Attributes:
        offset: Where it begins in the file, bytes.
        data: At most 256 KiB.
        total_bytes: Length of the whole file.
    """

    offset: int
    data: bytes
    total_bytes: int


class DistributionClient(Closing):
    """A unit's connection to the distribution server.

    Args:
        channel: Mutually authenticated; closed with the client.
        patience: Deadlines and repetitions.
    """

    def __init__(self, channel: grpc.Channel, *, patience: Patience | None = None) -> None:
        self._channel = channel
        self.patience = patience or Patience()
        self._metadata = unary(channel, GET_METADATA)
        self._report = unary(channel, REPORT)
        self._renew = unary(channel, RENEW)
        self._leave = unary(channel, LEAVE)
        self._offer_engine = unary(channel, OFFER_ENGINE)
        self._send_engine = channel.stream_unary(
            SEND_ENGINE.path,
            request_serializer=SEND_ENGINE.request.SerializeToString,
            response_deserializer=SEND_ENGINE.reply.FromString,
        )
        self._target = channel.unary_stream(
            FETCH_TARGET.path,
            request_serializer=FETCH_TARGET.request.SerializeToString,
            response_deserializer=FETCH_TARGET.reply.FromString,
        )
        self._watch = channel.unary_stream(
            WATCH.path,
            request_serializer=WATCH.request.SerializeToString,
            response_deserializer=WATCH.reply.FromString,
        )

    @classmethod
    def connect(cls, identity: UnitIdentity, *, patience: Patience | None = None) -> DistributionClient:
        """Return a client for an enrolled unit; nothing is opened before the first call."""
        channel = open_channel(identity.distribution_address, identity.authority_pem, identity.credentials())
        return cls(channel, patience=patience)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def metadata(self, name: str) -> bytes:
        """Return a metadata file, e.g. ``timestamp.json`` or ``3.root.json``.

        Raises:
            NotPublished: there is none of that name.
            EyebrightError: the call failed.
        """
        request = pb.GetMetadataRequest(name=name)
        reply = call_patiently(
            lambda s: self._metadata(request, timeout=s), patience=self.patience, doing="fetching metadata"
        )
        return reply.data

    def target(self, path: str, offset: int) -> Iterator[Chunk]:
        """Yield a target from ``offset`` on, checked chunk by chunk, without repeating anything.

        Raises:
            grpc.RpcError: the stream broke; ``GrpcFetcher`` decides what to do about it.
            WireError: a chunk arrived damaged or out of order.
        """
        request = pb.FetchTargetRequest(path=path, offset=offset)
        stream = self._target(request, timeout=self.patience.stream_deadline_s)
        try:
            for message in stream:
                chunk = _checked(message, expected_offset=offset)
                offset += len(chunk.data)
                yield chunk
        finally:
            cast(_Cancellable, stream).cancel()  # a reader that stops early must not leave the server sending

    def watch(self, mark: str = "", *, for_s: float = 3600.0) -> Iterator[str]:
        """Yield a mark whenever something was published; it is a hint to refresh, and proves nothing.

        Args:
            mark: The last one heard; empty to be told the present one at once.
            for_s: How long to listen; the iteration then ends, and another may begin.

        Raises:
            EyebrightError: the connection broke or the server refused.
        """
        stream = self._watch(pb.WatchRequest(mark=mark), timeout=for_s)
        try:
            for message in stream:
                yield message.mark
        except grpc.RpcError as error:
            if status_of(error)[0] is not grpc.StatusCode.DEADLINE_EXCEEDED:
                raise local_error(error, doing="watching for releases") from error
        finally:
            cast(_Cancellable, stream).cancel()

    def report(self, status: UnitStatus) -> None:
        """Send the state of this unit.

        Raises:
            EyebrightError: the call failed.
        """
        request = pb.ReportRequest(status_json=status.model_dump_json())
        call_patiently(lambda s: self._report(request, timeout=s), patience=self.patience, doing="sending the report")

    def offer_engine(self, description: bytes) -> tuple[str, int]:
        """Return what becomes of a builder's engine (``wanted``, ``waiting``, ``signed``) and from where to send it.

        Raises:
            EyebrightError: the call failed, or the server does not take the engine.
        """
        request = pb.OfferEngineRequest(description_json=description)
        reply = call_patiently(
            lambda s: self._offer_engine(request, timeout=s), patience=self.patience, doing="offering an engine"
        )
        return reply.state, reply.offset

    def send_engine(self, sha256: str, pieces: Iterator[tuple[int, bytes]]) -> str:
        """Send an engine's pieces, each with its offset, once; return what became of it.

        Raises:
            grpc.RpcError: the stream broke or the server refused; ``upload_engine`` decides what to do about it.
        """
        chunks = (
            pb.EngineChunk(sha256=sha256, offset=offset, data=data, crc32=zlib.crc32(data)) for offset, data in pieces
        )
        reply: pb.SendEngineReply = self._send_engine(chunks, timeout=self.patience.stream_deadline_s)
        return reply.state

    def renew(self, request_pem: bytes) -> bytes:
        """Return a fresh certificate (PEM) for a request made with the key of the present one.

        Raises:
            EyebrightError: the call failed or the server refused.
        """
        request = pb.RenewRequest(certificate_request_pem=request_pem)
        reply = call_patiently(
            lambda s: self._renew(request, timeout=s), patience=self.patience, doing="renewing the certificate"
        )
        return reply.certificate_pem

    def leave(self) -> None:
        """Withdraw from the network; the certificate of this call is worth nothing afterwards.

        Raises:
            EyebrightError: the call failed; this participant is still in.
        """
        request = pb.LeaveRequest()
        call_patiently(lambda s: self._leave(request, timeout=s), patience=self.patience, doing="leaving")


def unary(channel: grpc.Channel, method: Method[RequestT, ReplyT]) -> grpc.UnaryUnaryMultiCallable[RequestT, ReplyT]:
    """Return the callable of a procedure that takes and gives one message."""
    serialize: type[Message] = method.request
    return channel.unary_unary(
        method.path, request_serializer=serialize.SerializeToString, response_deserializer=method.reply.FromString
    )


def _checked(message: pb.TargetChunk, *, expected_offset: int) -> Chunk:
    data = message.data
    if message.offset != expected_offset or len(data) > CHUNK_BYTES:
        raise WireError("a chunk arrived out of order", value=message.offset, fix="Try again.")
    if zlib.crc32(data) != message.crc32:
        raise WireError("a chunk arrived damaged", value=message.offset, fix="Try again.")
    if expected_offset + len(data) > message.total_bytes:
        raise WireError("a chunk reaches beyond the end of its file", value=message.offset, fix="Try again.")
    return Chunk(offset=message.offset, data=data, total_bytes=message.total_bytes)
