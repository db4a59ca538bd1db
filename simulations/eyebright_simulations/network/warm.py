"""What every worker needs, imported once and shared: the fork server loads this module before it forks any of them.

* PyTorch and its company take 0.9 GB as they load; forked workers share those pages, and start in milliseconds.
* A process with threads must not fork. Nothing imported here starts one as long as OpenBLAS is told to use one thread
  (``workers`` sets it); ONNX Runtime starts one and is therefore left to the two stages that need it.
* Freezing takes what is alive out of the collector's sight, whose marks would otherwise copy every shared page.
"""

import gc
import logging
import sys
from importlib import import_module

# A compiler for GPUs that PyTorch loads when it is there (0.15 GB) and does without when it is not.
sys.modules.setdefault("triton", None)  # type: ignore[arg-type]  # None forbids the import; the stub does not know
logging.getLogger("torch.utils.flop_counter").setLevel(logging.ERROR)  # it would say so to somebody who cannot care

for _room in ("cohort", "teacher", "rounds"):
    import_module(f"eyebright_simulations.network.{_room}")
gc.collect()
gc.freeze()
