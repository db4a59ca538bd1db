"""The wire between units and the server: messages, errors, channels and python-tuf's transport.

* ``distribution.proto`` is the contract; ``distribution_pb2`` is generated from it (``generate.py``) and committed.
* ``enrol`` joins, ``DistributionClient`` calls, ``GrpcFetcher`` lets ``trust.UpdateClient`` pull through it.
* Errors cross by the catalogue only: a status and a fixed word, nothing that identifies anybody.
* gRPC's own lines on standard error are off unless GRPC_VERBOSITY asks for them: what failed is said once, by us.
"""

# gRPC reads this when it is first imported, and never again
import os

os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from eyebright_common.wire.catalogue import CATALOGUE, PublicError, local_error, public_error
from eyebright_common.wire.channel import Patience, open_channel
from eyebright_common.wire.client import Chunk, DistributionClient
from eyebright_common.wire.engine_upload import upload_engine
from eyebright_common.wire.enrolment import FleetPlace, enrol, enrol_hospital, renew_if_due
from eyebright_common.wire.fetcher import GrpcFetcher
from eyebright_common.wire.methods import CHUNK_BYTES
from eyebright_common.wire.report import ShadowAgreement, UnitStatus, Verdicts, read_report

__all__ = [
    "CATALOGUE",
    "CHUNK_BYTES",
    "Chunk",
    "DistributionClient",
    "FleetPlace",
    "GrpcFetcher",
    "Patience",
    "PublicError",
    "ShadowAgreement",
    "UnitStatus",
    "Verdicts",
    "enrol",
    "enrol_hospital",
    "local_error",
    "open_channel",
    "public_error",
    "read_report",
    "renew_if_due",
    "upload_engine",
]
