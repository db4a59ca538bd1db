"""The federation on Flower's own processes: SuperLink on loopback, nginx before it, and our rounds as its ServerApp.

* ``registrations``: which node key belongs to which hospital, in the ledger.
* ``control``: the SuperLink's control interface, as far as we need it.
* ``bundle``: the Flower app that carries no code.
* ``rounds``: a ServerApp process of ours, in this process.
* ``credentials``, ``nginx``, ``commands``: what the processes are started with; ``up`` starts and keeps them.

Flower's calls home are switched off here, before it can be imported.
"""

import os

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ["FLWR_DISABLE_UPDATE_CHECK"] = "1"
os.environ["FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION"] = "1"
