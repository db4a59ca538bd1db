"""What runs the network on this machine.

* ``Runtime`` is the seam: a float32 picture goes in, logits and class activation maps come out.
* ``open_runtime`` picks the best runtime that this machine really has, as ``settings`` and a probe say; ONNX Runtime on
  the CPU is the reference, always there and always the reserve.
* ``prove_runtime`` holds any of them to a release's golden cases.
* ``tensorrt`` is the unit's side of TensorRT, ``board`` what runs in the board's own Python, ``engine_cache`` what was
  built, ``twins`` what identical machines build for each other. Imported where they are needed, not here.
"""

from eyebright_edge.runtime.golden import golden_for, prove_runtime
from eyebright_edge.runtime.onnx_runtime import OnnxRuntime
from eyebright_edge.runtime.probe import build_runtime, open_runtime
from eyebright_edge.runtime.protocol import FloatArray, Runtime

__all__ = ["FloatArray", "OnnxRuntime", "Runtime", "build_runtime", "golden_for", "open_runtime", "prove_runtime"]
