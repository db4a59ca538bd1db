"""Which patches are seen and which are to be predicted (I-JEPA, Assran et al., CVPR 2023, section 3).

On a grid of g x g patches, for each batch:

* One size for all targets: a part of the grid in ``target_scale``, height over width in ``target_aspect``, each side
  shorter than the grid. One size for all contexts: a square, a part of the grid in ``context_scale``.
* Positions differ between pictures. Targets may overlap each other; what they cover is taken out of the context.
* A picture whose context keeps fewer than ``minimum_kept`` patches draws again. After ``_TRIES`` draws its targets are
  moved onto its first one, one after the other: with all of them in one place enough is left, which ``check`` made
  sure of. So the sampler always ends, and a small grid is no special case.
* Contexts are cut to the smallest of the batch, so that they stack. What is cut is drawn at random, because cutting the
  last patches would hide the lower edge of every picture.

The generator comes in; the same generator gives the same masks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eyebright_common.errors import InputError

Index = npt.NDArray[np.int64]
Cover = npt.NDArray[np.bool_]
_TRIES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskSampling:
    """How context and targets are drawn; the defaults are the paper's.

    Attributes:
        targets: Number of target blocks.
        target_scale: Least and largest part of the grid that one target covers.
        target_aspect: Least and largest height over width of a target.
        context_scale: Least and largest part of the grid that the context block covers.
        minimum_kept: Patches of the context that must be left without the targets.
    """

    targets: int = 4
    target_scale: tuple[float, float] = (0.15, 0.20)
    target_aspect: tuple[float, float] = (0.75, 1.5)
    context_scale: tuple[float, float] = (0.85, 1.0)
    minimum_kept: int = 10

    def __post_init__(self) -> None:
        for knob in ("targets", "minimum_kept"):
            if getattr(self, knob) < 1:
                raise InputError(f"masks: {knob} must be at least 1", value=getattr(self, knob))
        for knob, most in (("target_scale", 1.0), ("context_scale", 1.0), ("target_aspect", math.inf)):
            low, high = getattr(self, knob)
            if not 0.0 < low <= high <= most:
                raise InputError(f"masks: {knob} must rise within (0, {most}]", value=(low, high))

    def check(self, grid: int) -> None:
        """Return when a grid of ``grid`` x ``grid`` patches always leaves enough context.

        Raises:
            InputError: it does not; the message names the knob.
        """
        side = _context_side(self.context_scale[0], grid)
        left = side * side - self._largest_target(grid)
        if grid < 2 or left < self.minimum_kept:
            raise InputError(
                f"masks: a grid of {grid} x {grid} patches cannot keep minimum_kept patches",
                value=f"{self.minimum_kept} asked for, {max(0, left)} certain",
                fix="Use larger pictures or smaller patches, or lower minimum_kept.",
            )

    def _largest_target(self, grid: int) -> int:
        """Return an upper bound of the patches of one target."""
        area = self.target_scale[1] * grid * grid
        aspects = np.linspace(*self.target_aspect, 64)
        return max(math.prod(_target_size(area, float(aspect), grid)) for aspect in aspects)


@dataclass(frozen=True, slots=True, kw_only=True)
class Masks:
    """Patch positions, row by row from 0, in rising order.

    Attributes:
        context: int64 ``[B, n]``, what the encoder sees.
        targets: int64 ``[B, M, t]``, what the predictor predicts; M blocks of t patches.
    """

    context: Index
    targets: Index


def sample_masks(sampling: MaskSampling, *, grid: int, count: int, generator: np.random.Generator) -> Masks:
    """Return the masks of one batch of ``count`` pictures.

    Raises:
        InputError: the grid cannot keep enough context.
    """
    sampling.check(grid)
    size = _draw_target_size(sampling, grid, generator)
    side = _context_side(generator.uniform(*sampling.context_scale), grid)
    covers = np.empty((count, sampling.targets, grid, grid), dtype=np.bool_)
    context = np.empty((count, grid, grid), dtype=np.bool_)
    missing = np.arange(count)
    for _ in range(_TRIES):
        covers[missing] = _blocks((len(missing), sampling.targets), size, grid, generator)
        context[missing] = _blocks((len(missing),), (side, side), grid, generator)
        missing = missing[_kept(context[missing], covers[missing]) < sampling.minimum_kept]
        if not len(missing):
            break
    _pile_up(covers, context, missing, sampling.minimum_kept)
    seen = (context & ~covers.any(axis=1)).reshape(count, -1)
    targets = np.nonzero(covers.reshape(count, sampling.targets, -1))[2]
    return Masks(
        context=_cut(seen, generator),
        targets=targets.reshape(count, sampling.targets, math.prod(size)).astype(np.int64),
    )


def _draw_target_size(sampling: MaskSampling, grid: int, generator: np.random.Generator) -> tuple[int, int]:
    area = generator.uniform(*sampling.target_scale) * grid * grid
    return _target_size(area, generator.uniform(*sampling.target_aspect), grid)


def _target_size(area: float, aspect: float, grid: int) -> tuple[int, int]:
    """Return height and width in patches: area = h w and aspect = h / w, rounded, shorter than the grid."""
    height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
    return min(max(height, 1), grid - 1), min(max(width, 1), grid - 1)


def _context_side(scale: float, grid: int) -> int:
    return min(max(round(math.sqrt(scale) * grid), 1), grid)


def _blocks(shape: tuple[int, ...], size: tuple[int, int], grid: int, generator: np.random.Generator) -> Cover:
    """Return blocks of one size at positions drawn uniformly, bool ``[*shape, g, g]``."""
    along = np.arange(grid)
    top, left = (generator.integers(0, grid - length + 1, size=shape)[..., None] for length in size)
    rows = (along >= top) & (along < top + size[0])
    columns = (along >= left) & (along < left + size[1])
    return np.asarray(rows[..., :, None] & columns[..., None, :])


def _kept(context: Cover, covers: Cover) -> Index:
    """Return how many context patches each picture keeps, ``[B]``."""
    return np.asarray((context & ~covers.any(axis=1)).sum(axis=(1, 2)), dtype=np.int64)


def _pile_up(covers: Cover, context: Cover, missing: Index, minimum: int) -> None:
    """Move targets of the pictures ``missing`` onto their first one, last target first, until enough is kept."""
    for block in range(covers.shape[1] - 1, 0, -1):
        missing = missing[_kept(context[missing], covers[missing]) < minimum]
        covers[missing, block] = covers[missing, 0]


def _cut(seen: Cover, generator: np.random.Generator) -> Index:
    """Return the positions seen by each picture, thinned at random to the smallest number among them."""
    keys = np.where(seen, generator.random(seen.shape), np.inf)
    fewest = int(seen.sum(axis=1).min())
    return np.sort(np.argsort(keys, axis=1, kind="stable")[:, :fewest], axis=1).astype(np.int64)
