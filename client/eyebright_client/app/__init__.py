"""The Flower ClientApp of a hospital: it answers rounds, and nothing else leaves through it.

``make_client_app`` is the door. Everything that knows Flower is in ``flower.py``; its calls home are switched off here,
before it can be imported.
"""

import os

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ["FLWR_DISABLE_UPDATE_CHECK"] = "1"
os.environ["FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION"] = "1"

from eyebright_client.app.flower import make_client_app

__all__ = ["make_client_app"]
