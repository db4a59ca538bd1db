"""The TensorRT worker: a child process that builds, loads, refits, inspects and runs engines.

* ``frames`` is what goes over the pipes; ``service`` answers one request after the other.
* ``cuda`` asks the driver, before anything of TensorRT is touched, and owns the memory on the GPU.
* ``adapter`` knows what differs between TensorRT 8.2, 8.6, 10 and 11; ``building`` makes engines; ``engine`` runs them.
* ``onnx_weights`` reads the weights of an ONNX file, for refitting.

Python 3.6, standard library, NumPy, ``tensorrt``. A fault of the GPU ends this process, not the screening.
"""

# Rises whenever the same inputs could give another engine; part of the key of every cached engine.
ADAPTER_VERSION = 1
