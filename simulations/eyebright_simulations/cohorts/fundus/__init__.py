"""Synthetic colour fundus photographs: an eye is drawn, then photographed.

``anatomy`` draws the healthy eye's measures, ``retina``, ``disc`` and ``vessels`` paint it, ``diabetic`` adds the
lesions, ``media`` is what the light passes (cataract, haze), ``camera`` takes the picture, ``faults`` spoil it.

Lengths are in field radii: the field of view of a standard picture is the unit disc, x to the right, y down. A right
eye is drawn, with its disc on the right; a left eye is its mirror image.
"""

from eyebright_simulations.cohorts.fundus.camera import CameraStyle, camera_style
from eyebright_simulations.cohorts.fundus.picture import draw_fundus

__all__ = ["CameraStyle", "camera_style", "draw_fundus"]
