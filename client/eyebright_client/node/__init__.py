"""The hospital's node: Flower's SuperNode, our worker beside it, and what keeps both running.

Flower's calls home are switched off here, before it can be imported.
"""

import os

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ["FLWR_DISABLE_UPDATE_CHECK"] = "1"
os.environ["FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION"] = "1"
