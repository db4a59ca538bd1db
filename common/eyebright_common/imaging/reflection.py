"""How much of a fundus photograph a reflection covers: near-white light that comes in from the rim of the field.

Light that the lashes, the iris or the lens throw back lies as a crescent or an arc along the border and is nearly
white. A bright lesion, an atrophy or the disc is white too, but lies inside; so only what reaches the rim is counted. A
cataract veils the whole field: ``veil`` tells the two apart, in the rules of the gate.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from eyebright_common.imaging.channels import darkest
from eyebright_common.imaging.quantiles import quantiles
from eyebright_common.imaging.refusals import Pixels

_NEARLY_WHITE = 180
_RIM = np.ones((9, 9), np.uint8)

Mask = NDArray[np.bool_]


def reflection_features(smooth: Pixels, inside: Mask) -> dict[str, float]:
    """Return ``reflection`` and ``veil`` of a smoothed field of view.

    Args:
        smooth: The field of view without its noise, uint8 ``[S, S, 3]``.
        inside: Where the picture shows the field, bool ``[S, S]``.
    """
    whiteness = darkest(smooth)
    return {"reflection": _from_the_rim(whiteness, inside), "veil": quantiles(whiteness[inside], 0.5)[0]}


def _from_the_rim(whiteness: NDArray[Any], inside: Mask) -> float:
    white = ((whiteness > _NEARLY_WHITE) & inside).view(np.uint8)
    if not white.any():
        return 0.0
    labels = np.asarray(cv2.connectedComponents(white)[1])
    inner = cv2.erode(inside.view(np.uint8), _RIM, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    reaching = np.unique(labels[inside & (np.asarray(inner) == 0)])
    return float(np.isin(labels, reaching[reaching > 0]).sum() / inside.sum())
