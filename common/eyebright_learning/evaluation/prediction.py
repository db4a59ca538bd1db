"""Run a network over pictures. The only part of this room that touches torch, and only when called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import nn


def predict(model: nn.Module, pixels: npt.NDArray[np.uint8], batch: int = 64) -> npt.NDArray[np.float32]:
    """Return raw logits float32 ``[N, C]`` of pictures uint8 ``[N, S, S, 3]``, in order.

    The model runs in evaluation mode and is given back in the mode it came in. No pictures give ``[0, 0]``.
    """
    import torch

    from eyebright_learning.views import plain

    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            parts = [
                model(plain(pixels[start : start + batch]).to(device)).float().cpu().numpy()
                for start in range(0, len(pixels), batch)
            ]
    finally:
        model.train(was_training)
    return np.concatenate(parts) if parts else np.zeros((0, 0), dtype=np.float32)
