"""The two services of ``distribution.proto`` as tables of typed methods.

Written out instead of generated: the types are kept on both sides, and the generated stubs would refuse to run with a
gRPC older than the generator that made them. A test compares this table with the ``.proto`` source.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message

from eyebright_common.wire import distribution_pb2 as pb

RequestT = TypeVar("RequestT", bound=Message)
ReplyT = TypeVar("ReplyT", bound=Message)

ENROLMENT_SERVICE = "eyebright.distribution.v1.Enrolment"
DISTRIBUTION_SERVICE = "eyebright.distribution.v1.Distribution"


@dataclass(frozen=True, slots=True, kw_only=True)
class Method(Generic[RequestT, ReplyT]):
    """One remote procedure.

    Attributes:
        service: Full name of the service.
        name: Name of the procedure.
        request: Message it takes.
        reply: Message it gives.
        streams: Whether it gives a stream of them.
        takes_stream: Whether it takes a stream of them.
    """

    service: str
    name: str
    request: type[RequestT]
    reply: type[ReplyT]
    streams: bool = False
    takes_stream: bool = False

    @property
    def path(self) -> str:
        """The procedure as it stands in the request."""
        return f"/{self.service}/{self.name}"


ENROLL = Method(service=ENROLMENT_SERVICE, name="Enroll", request=pb.EnrollRequest, reply=pb.EnrollReply)
GET_METADATA = Method(
    service=DISTRIBUTION_SERVICE, name="GetMetadata", request=pb.GetMetadataRequest, reply=pb.GetMetadataReply
)
FETCH_TARGET = Method(
    service=DISTRIBUTION_SERVICE, name="FetchTarget", request=pb.FetchTargetRequest, reply=pb.TargetChunk, streams=True
)
WATCH = Method(service=DISTRIBUTION_SERVICE, name="Watch", request=pb.WatchRequest, reply=pb.WatchReply, streams=True)
REPORT = Method(service=DISTRIBUTION_SERVICE, name="Report", request=pb.ReportRequest, reply=pb.ReportReply)
RENEW = Method(service=DISTRIBUTION_SERVICE, name="Renew", request=pb.RenewRequest, reply=pb.RenewReply)
OFFER_ENGINE = Method(
    service=DISTRIBUTION_SERVICE, name="OfferEngine", request=pb.OfferEngineRequest, reply=pb.OfferEngineReply
)
SEND_ENGINE = Method(
    service=DISTRIBUTION_SERVICE, name="SendEngine", request=pb.EngineChunk, reply=pb.SendEngineReply, takes_stream=True
)
LEAVE = Method(service=DISTRIBUTION_SERVICE, name="Leave", request=pb.LeaveRequest, reply=pb.LeaveReply)

METHODS = (ENROLL, GET_METADATA, FETCH_TARGET, WATCH, REPORT, RENEW, OFFER_ENGINE, SEND_ENGINE, LEAVE)
CHUNK_BYTES = 256 * 1024  # the fastest with mutual TLS: smaller pays per message, larger per copy
