"""What runs in the Python of the board: one package, ``tensorrt_worker``, and nothing else beside it.

A board's TensorRT bindings exist only for the Python that ships with it (3.6 on the oldest supported board), so this
folder is put on that Python's path and ``python -m tensorrt_worker`` is started there. It has its own few modules with
relative imports, Python 3.6 syntax, the standard library, NumPy and ``tensorrt``; it never imports Eyebright.
The unit's own side imports two of them from here: ``frames``, so that both ends speak the same bytes, and
``onnx_weights``.
"""

from pathlib import Path

WORKER_PATH = Path(__file__).parent
WORKER_MODULE = "tensorrt_worker"

__all__ = ["WORKER_MODULE", "WORKER_PATH"]
