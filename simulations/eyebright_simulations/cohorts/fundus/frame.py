"""The grid on which an eye is painted: from field radii to pixels and back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from eyebright_simulations.cohorts.canvas import Field, as_field

# The canvas shows a little more than the field of view, so that a camera may shift and turn.
REACH = 1.12


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Coordinates of a square canvas.

    Attributes:
        size: Pixels per side.
        x: Field radii to the right of the centre, ``[S, S]``.
        y: Field radii below the centre, ``[S, S]``.
        radius: Distance from the centre, ``[S, S]``.
    """

    size: int
    x: Field
    y: Field
    radius: Field

    @property
    def unit(self) -> float:
        """Pixels per field radius."""
        return self.size / (2 * REACH)

    def pixels(self, points: np.ndarray[tuple[int, ...], np.dtype[np.float64]], *, zoom: int = 1) -> Field:
        """Return points ``[N, 2]`` in field radii as pixel positions on a canvas ``zoom`` times finer."""
        return as_field((points + REACH) * (self.unit * zoom) - 0.5)

    def distance(self, centre: tuple[float, float]) -> Field:
        """Return the distance of every pixel from ``centre``, ``[S, S]``, in field radii."""
        x, y = self.x - np.float32(centre[0]), self.y - np.float32(centre[1])
        return as_field(np.sqrt(x * x + y * y))


@lru_cache(maxsize=4)
def grid(size: int) -> Grid:
    """Return the grid of a canvas ``size`` pixels wide."""
    axis = ((np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1) * REACH
    x, y = np.meshgrid(axis, axis)
    return Grid(size=size, x=as_field(x), y=as_field(y), radius=as_field(np.hypot(x, y)))
