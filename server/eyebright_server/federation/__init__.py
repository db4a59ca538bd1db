"""Federated rounds: a round driver of our own on Flower's messages and strategies.

``run_federation`` is the door. Everything that knows Flower is in ``flower``; Flower's and Ray's calls home are
switched off here, before either can be imported.
"""

import os

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ["FLWR_DISABLE_UPDATE_CHECK"] = "1"
os.environ["FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION"] = "1"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

from eyebright_server.federation.records import FederationEvent, FederationResult, RoundRecord, Setback
from eyebright_server.federation.rules import RoundRules
from eyebright_server.federation.run import run_federation

__all__ = ["FederationEvent", "FederationResult", "RoundRecord", "RoundRules", "Setback", "run_federation"]
