"""The wire between units and the server: messages, errors, channels and python-tuf's transport.

* ``distribution.proto`` is the contract; ``distribution_pb2`` is generated from it (``generate.py``) and committed.
* ``enrol`` joins, ``DistributionClient`` calls, ``GrpcFetcher`` lets ``trust.UpdateClient`` pull through it.
* Errors cross by the catalogue only: a status and a fixed word, nothing that identifies anybody.
"""

from eyebright_common.wire.catalogue import CATALOGUE, PublicError, local_error, public_error
from eyebright_common.wire.channel import Patience, open_channel
from eyebright_common.wire.client import Chunk, DistributionClient
from eyebright_common.wire.enrolment import FleetPlace, enrol, enrol_hospital, renew_if_due
from eyebright_common.wire.fetcher import GrpcFetcher
from eyebright_common.wire.methods import CHUNK_BYTES
from eyebright_common.wire.report import UnitStatus, Verdicts, read_report

__all__ = [
    "CATALOGUE",
    "CHUNK_BYTES",
    "Chunk",
    "DistributionClient",
    "FleetPlace",
    "GrpcFetcher",
    "Patience",
    "PublicError",
    "UnitStatus",
    "Verdicts",
    "enrol",
    "enrol_hospital",
    "local_error",
    "open_channel",
    "public_error",
    "read_report",
    "renew_if_due",
]
