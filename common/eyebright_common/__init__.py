"""Everything two roles of Eyebright must agree on, without torch and without Flower.

Rooms: ``tasks``, ``imaging``, ``manifest``, ``release``, ``trust``, ``wire``; and ``errors``, ``plan`` and ``cli``.
"""

import os

__version__ = "0.1.0"

# ONNX Runtime reports its use to its makers, with an identifier of the machine, unless it finds this when it is loaded;
# its own `disable_telemetry_events` comes too late. Nothing leaves a unit but what it shows first.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
