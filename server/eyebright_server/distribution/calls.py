"""From a gRPC call to one of ours and back: who calls, and what an error may say.

* Errors leave by the wire catalogue; what really happened goes to the log.
* The peer is read from the certificate that TLS has verified, from its SAN and fingerprint; the common name is never
  looked at.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NoReturn, TypeAlias

import grpc
from google.protobuf.message import Message

from eyebright_common.errors import EyebrightError, NotPublished, TrustError
from eyebright_common.trust import PeerIdentity, read_identity
from eyebright_common.wire import public_error
from eyebright_common.wire.methods import Method, ReplyT, RequestT

log = logging.getLogger(__name__)
Context = grpc.aio.ServicerContext[Message, Message]
Handler: TypeAlias = "grpc.GenericRpcHandler[Message, Message]"  # generic only for the type checker


def peer_identity(context: Context) -> PeerIdentity:
    """Return who is calling.

    Raises:
        TrustError: there is no client certificate, or it names no participant.
    """
    presented = list(context.auth_context().get("x509_pem_cert", ()))
    if len(presented) != 1:
        raise TrustError("the caller has no certificate")
    return _identity(bytes(presented[0]))


def peer_host(context: Context) -> str:
    """Return the caller's address without the port, e.g. ``ipv4:10.0.0.7``."""
    return context.peer().rpartition(":")[0]


@functools.lru_cache(maxsize=4096)
def _identity(pem: bytes) -> PeerIdentity:
    return read_identity(pem)


def unary_handler(
    method: Method[RequestT, ReplyT], answer: Callable[[RequestT, Context], Awaitable[ReplyT]]
) -> tuple[str, Any]:
    """Return name and gRPC handler of a procedure that gives one message."""

    async def handle(request: RequestT, context: Context) -> ReplyT:
        try:
            return await answer(request, context)
        except Exception as error:
            await _refuse(error, method.name, context)

    return method.name, grpc.unary_unary_rpc_method_handler(
        handle, request_deserializer=method.request.FromString, response_serializer=method.reply.SerializeToString
    )


def stream_handler(
    method: Method[RequestT, ReplyT],
    answer: Callable[[RequestT, Context], AsyncIterator[ReplyT]],
    *,
    longest_s: float,
) -> tuple[str, Any]:
    """Return name and gRPC handler of a procedure that gives a stream of messages, for at most ``longest_s``.

    A message is made when the one before has been taken: a caller that reads slowly costs one message of memory, and
    one that does not read at all is cut off in the end.
    """
    return _streaming(method, answer, longest_s, method.reply.SerializeToString)


def packed_stream_handler(
    method: Method[RequestT, ReplyT],
    answer: Callable[[RequestT, Context], AsyncIterator[bytes]],
    *,
    longest_s: float,
) -> tuple[str, Any]:
    """Return the same of a procedure whose messages come packed already: packing is no work for the event loop."""
    return _streaming(method, answer, longest_s, None)


def _streaming(
    method: Method[RequestT, ReplyT],
    answer: Callable[[RequestT, Context], AsyncIterator[Any]],
    longest_s: float,
    serializer: Callable[[Any], bytes] | None,
) -> tuple[str, Any]:
    async def handle(request: RequestT, context: Context) -> None:
        try:
            async with asyncio.timeout(longest_s):
                async for message in answer(request, context):
                    await context.write(message)
        except TimeoutError:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "")
        except Exception as error:
            await _refuse(error, method.name, context)

    return method.name, grpc.unary_stream_rpc_method_handler(
        handle, request_deserializer=method.request.FromString, response_serializer=serializer
    )


def upload_handler(
    method: Method[RequestT, ReplyT],
    answer: Callable[[AsyncIterator[RequestT], Context], Awaitable[ReplyT]],
    *,
    longest_s: float,
    silence_s: float,
) -> tuple[str, Any]:
    """Return name and gRPC handler of a procedure that takes a stream of messages and gives one.

    The next message is taken from the connection when the one before has been dealt with: a caller that sends faster
    than the disk writes is held back. One that is silent for ``silence_s``, or goes on for ``longest_s``, is cut off.
    """

    async def heard(requests: AsyncIterator[RequestT]) -> AsyncIterator[RequestT]:
        coming = aiter(requests)
        while True:
            try:
                async with asyncio.timeout(silence_s):
                    message = await anext(coming)
            except StopAsyncIteration:
                return
            yield message

    async def handle(requests: AsyncIterator[RequestT], context: Context) -> ReplyT:
        try:
            async with asyncio.timeout(longest_s):
                return await answer(heard(requests), context)
        except TimeoutError:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "")
            raise AssertionError("abort raises") from None
        except Exception as error:
            await _refuse(error, method.name, context)

    return method.name, grpc.stream_unary_rpc_method_handler(
        handle, request_deserializer=method.request.FromString, response_serializer=method.reply.SerializeToString
    )


def service(name: str, handlers: Mapping[str, Any]) -> Handler:
    """Return a service made of handlers by procedure name."""
    return grpc.method_handlers_generic_handler(name, dict(handlers))


async def _refuse(error: Exception, method: str, context: Context) -> NoReturn:
    if isinstance(error, grpc.aio.AbortError | asyncio.CancelledError):
        raise error
    public = public_error(error)
    if isinstance(error, NotPublished):
        log.debug("%s: %s", method, error)  # how every quiet poll ends: there is no newer root
    elif isinstance(error, EyebrightError):
        log.info("%s refused (%s): %s", method, public.word, error)
    else:
        log.error("%s failed", method, exc_info=error)
    await context.abort(public.status, public.word)
    raise AssertionError("abort raises")
