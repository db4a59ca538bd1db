"""How signed releases reach units: enrolment, mutual TLS, and files by name and offset.

``authorisation`` says which role may call what; ``engine_uploads`` takes what builders send.

The server is not trusted with what it serves: it holds no offline key, and a unit believes signatures only.
"""

from eyebright_server.distribution.limits import Rate
from eyebright_server.distribution.operator_folder import OperatorFolder, ServerAddresses, ServerSettings
from eyebright_server.distribution.server import DistributionServer, serve_in_thread, serve_until_stopped

__all__ = [
    "DistributionServer",
    "OperatorFolder",
    "Rate",
    "ServerAddresses",
    "ServerSettings",
    "serve_in_thread",
    "serve_until_stopped",
]
