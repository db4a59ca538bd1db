"""What an error looks like on the wire.

* An error crosses as a gRPC status and a fixed word from this table, nothing else: no path, no name, no value. The
  receiving side turns the word back into one of our errors, with a message of its own making.
* Anything without a row crosses as ``internal``; the reason stays in the server's log.
* The most specific row wins, so a row may stand for a whole branch of the error tree.
"""

from __future__ import annotations

from dataclasses import dataclass

import grpc

from eyebright_common.errors import (
    EyebrightError,
    InputError,
    InvitationError,
    LimitExceeded,
    NotPublished,
    ReleaseError,
    TargetRejected,
    TrustError,
    WireError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicError:
    """How one kind of error crosses the wire.

    Attributes:
        kind: The error it stands for, on both sides.
        status: Its gRPC status.
        word: Its stable name in the status details.
        what: What the receiver is told failed.
        fix: What the receiver is told to do.
    """

    kind: type[EyebrightError]
    status: grpc.StatusCode
    word: str
    what: str
    fix: str


_INTERNAL = PublicError(
    kind=WireError,
    status=grpc.StatusCode.INTERNAL,
    word="internal",
    what="the server could not do that",
    fix="The operator finds the reason in the server's log.",
)

CATALOGUE: tuple[PublicError, ...] = (
    PublicError(
        kind=InvitationError,
        status=grpc.StatusCode.PERMISSION_DENIED,
        word="invitation",
        what="the server does not take this invitation: it is unknown, used or expired",
        fix="Ask the operator for a new invitation.",
    ),
    PublicError(
        kind=TargetRejected,
        status=grpc.StatusCode.DATA_LOSS,
        word="not-as-described",
        what="what arrived is not what was described; the server threw it away",
        fix="Send it again.",
    ),
    PublicError(
        kind=ReleaseError,
        status=grpc.StatusCode.FAILED_PRECONDITION,
        word="does-not-fit",
        what="the server does not take it: it fits no release that is published",
        fix="Update this machine, build the engine again; the operator finds the reason in the server's log.",
    ),
    PublicError(
        kind=TrustError,
        status=grpc.StatusCode.PERMISSION_DENIED,
        word="not-trusted",
        what="the server does not trust this certificate or request",
        fix="Ask the operator whether this machine was revoked; enrol again with a new invitation.",
    ),
    PublicError(
        kind=InputError,
        status=grpc.StatusCode.INVALID_ARGUMENT,
        word="bad-request",
        what="the server could not read the request",
        fix="Update this machine's software.",
    ),
    PublicError(
        kind=NotPublished,
        status=grpc.StatusCode.NOT_FOUND,
        word="not-published",
        what="the server has no such file",
        fix="Refresh and ask again.",
    ),
    PublicError(
        kind=LimitExceeded,
        status=grpc.StatusCode.RESOURCE_EXHAUSTED,
        word="limit",
        what="the server was asked for too much, or too often",
        fix="Wait a minute and try again.",
    ),
    _INTERNAL,
)
_BY_WORD = {row.word: row for row in CATALOGUE}


def public_error(error: BaseException) -> PublicError:
    """Return the row under which ``error`` leaves this machine."""
    by_kind = {row.kind: row for row in CATALOGUE}
    for kind in type(error).__mro__:
        if kind in by_kind:
            return by_kind[kind]
    return _INTERNAL


def local_error(error: grpc.RpcError, *, doing: str) -> EyebrightError:
    """Return the error of ours that a failed call stands for.

    Args:
        error: What gRPC raised.
        doing: What was attempted, for the message, e.g. ``fetching metadata``.
    """
    status, details = status_of(error)
    row = _BY_WORD.get(details)
    # A word with another status than its row's was not written by this catalogue.
    if row is not None and row.status is status:
        return row.kind(f"{doing}: {row.what}", fix=row.fix)
    if status is grpc.StatusCode.UNAVAILABLE:
        fix = "Check network and address; if both are right, this machine's certificate may have ended."
        return WireError(f"{doing}: the server cannot be reached", fix=fix)
    if status is grpc.StatusCode.DEADLINE_EXCEEDED:
        return WireError(f"{doing}: the server did not answer in time", fix="Try again.")
    if status is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return LimitExceeded(f"{doing}: too much was asked or answered", fix="Wait a minute and try again.")
    return WireError(f"{doing}: the call failed", value=status.name, fix="Try again; then tell the operator.")


def status_of(error: grpc.RpcError) -> tuple[grpc.StatusCode, str]:
    """Return status and details of a failed call; gRPC's own type does not promise them."""
    if isinstance(error, grpc.Call):
        return error.code() or grpc.StatusCode.UNKNOWN, error.details() or ""
    return grpc.StatusCode.UNKNOWN, ""
