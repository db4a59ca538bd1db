"""The server's own runtime: FP32 ONNX Runtime on CPU, on the file that ships.

Everything a release claims (golden logits, parity, metrics) is measured here, on ``model.onnx`` itself and one picture
at a time, as a screening unit does. One thread by default: the order of floating-point sums then never changes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from eyebright_common.errors import ReleaseError

Pixels = npt.NDArray[np.uint8]
Logits = npt.NDArray[np.float32]


class ReferenceRuntime:
    """A loaded graph.

    Args:
        model: The ONNX file, or its bytes.
        threads: Threads per picture.

    Raises:
        ReleaseError: ONNX Runtime cannot load it.
    """

    def __init__(self, model: Path | bytes, *, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # errors come as exceptions; the log would say them a second time
        source = model if isinstance(model, bytes) else str(model)
        try:
            self._session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        # ONNX Runtime's exceptions share no base class of their own.
        except Exception as error:
            raise ReleaseError(
                "ONNX Runtime cannot load the model",
                value="bytes in memory" if isinstance(model, bytes) else model,
                fix="The file is damaged or newer than this ONNX Runtime: fetch the release again.",
            ) from error

    def run(self, image: npt.NDArray[np.float32]) -> tuple[Logits, npt.NDArray[np.float32]]:
        """Return logits ``[1, C]`` and cam ``[1, C, h, w]`` of one picture ``[1, 3, S, S]`` in 0–255."""
        logits, cam = self._session.run(["logits", "cam"], {"image": image})
        return logits, cam

    def logits_of(self, pixels: Pixels) -> Logits:
        """Return logits ``[N, C]`` of prepared pictures uint8 ``[N, 3, S, S]``."""
        return np.concatenate([self.run(picture[None].astype(np.float32))[0] for picture in pixels])
