"""Where the network looked, over the picture it looked at: for a clinician who asks, never the headline."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from eyebright_edge.runtime import FloatArray


def overlay_attention(
    picture: npt.NDArray[np.uint8], attention: FloatArray, *, opacity: float = 0.45
) -> npt.NDArray[np.uint8]:
    """Return the picture with the map in colour over it, RGB uint8 ``[S, S, 3]``.

    A place is covered the more, the stronger the map is there: where the network did not look, the picture stays as it
    is. Black around the field of view stays black.

    Args:
        picture: What the network saw, RGB uint8 ``[S, S, 3]``.
        attention: Map ``[h, w]``, 0–1.
        opacity: How much the strongest place is covered, 0–1.
    """
    H, W = picture.shape[:2]
    smooth = np.clip(cv2.resize(attention, (W, H), interpolation=cv2.INTER_CUBIC), 0.0, 1.0)
    coloured = cv2.applyColorMap((255 * smooth).astype(np.uint8), cv2.COLORMAP_TURBO)[:, :, ::-1]
    cover = (opacity * smooth * (picture.max(axis=2) > 0))[:, :, None]
    blended = picture * (1.0 - cover) + coloured * cover
    return np.asarray(np.rint(blended), dtype=np.uint8)
