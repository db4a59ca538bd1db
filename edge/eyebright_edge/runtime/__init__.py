"""What runs the network on this machine.

* ``Runtime`` is the seam: a float32 picture goes in, logits and class activation maps come out.
* ``open_runtime`` picks the best runtime that this machine really has. Today that is ONNX Runtime on the CPU; nothing
  here pretends to be a GPU.
"""

from eyebright_edge.runtime.onnx_runtime import OnnxRuntime
from eyebright_edge.runtime.probe import open_runtime
from eyebright_edge.runtime.protocol import FloatArray, Runtime

__all__ = ["FloatArray", "OnnxRuntime", "Runtime", "open_runtime"]
