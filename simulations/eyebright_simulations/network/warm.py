"""What every worker needs, imported once and shared: the fork server loads this module before it forks any of them.

* PyTorch and its company take 0.9 GB as they load; forked workers share those pages, and start in milliseconds.
* A process with threads must not fork. Nothing imported here starts one as long as OpenBLAS is told to use one thread
  (``workers`` sets it); ONNX Runtime starts one and is therefore left to the two stages that need it.
* Freezing takes what is alive out of the collector's sight, whose marks would otherwise copy every shared page.
"""

import gc

import eyebright_simulations.network.cohort
import eyebright_simulations.network.rounds
import eyebright_simulations.network.teacher  # noqa: F401 - loaded for whoever is forked from here

gc.collect()
gc.freeze()
