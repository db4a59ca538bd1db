"""Near-duplicate pictures: the same photograph under another name, re-encoded, mirrored or with altered contrast.

* The descriptor is the prepared picture's brightness on a 64 × 64 grid, band-passed to the width of vessels, divided by
  its local strength and clipped: lighting, contrast and compression cancel, anatomy stays, and neither the optic disc
  nor a reflection decides alone. What is not lit (outside the field, a cut-off field's straight edges) is zero.
* Two pictures are copies when their descriptors correlate, for one of the four mirrorings, *and* most blocks of the
  grid correlate by themselves: two eyes photographed with the same dirt on the lens agree in a block or two only.
* B-scans of different people look alike (layers are layers), so the limits for OCT are near one: re-encoded and
  mirrored copies are found, strongly altered ones are not.
* Groups are the transitive closure of "same patient" and "copy": what must never be parted between splits.

Not found: copies with a different crop or rotation, and copies of pictures so hazy that compression leaves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from eyebright_common.errors import InputError
from eyebright_common.imaging.preparation import inscribed_disc
from eyebright_common.imaging.refusals import Pixels
from eyebright_common.manifest.closure import closure

DESCRIPTOR_SIDE = 64

# Modality → (correlation of the whole, median correlation of the blocks). On 5,036 real fundus photographs the number
# of clusters is flat between 0.55 and 0.75, which is where unrelated pictures end and copies begin.
_LIMITS = {"CFP": (0.62, 0.55), "OCT": (0.94, 0.85)}
_INNER = 0.85
_CHUNK = 512
_BLOCK = 12

Descriptors = NDArray[np.float32]
Pairs = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clusters:
    """Which pictures belong together.

    Attributes:
        group: Group number of each picture (patient and copies), int64 ``[N]``, counted from 0.
        duplicate_clusters: Sets of two or more pictures that are copies of one another.
        images_in_duplicate_clusters: Pictures in those sets.
        cross_patient_clusters: Those sets that join different patient ids.
        largest_cluster: Pictures in the largest of those sets, 0 where there is none.
        pairs: The copies found, int64 ``[P, 2]``, local only.
    """

    group: NDArray[np.int64]
    duplicate_clusters: int
    images_in_duplicate_clusters: int
    cross_patient_clusters: int
    largest_cluster: int
    pairs: Pairs


def duplicate_descriptor(prepared: Pixels) -> Descriptors:
    """Return the descriptor of a prepared picture, uint8 ``[S, S, 3]``: float32 ``[DESCRIPTOR_SIDE²]`` of norm 1.

    A picture with nothing to compare gives zeros, which correlate with nothing.
    """
    side = DESCRIPTOR_SIDE
    grey = cv2.resize(cv2.cvtColor(prepared, cv2.COLOR_RGB2GRAY), (side, side), interpolation=cv2.INTER_AREA)
    small = np.asarray(grey, dtype=np.float32)
    inside = _comparable(small)
    difference = np.asarray(cv2.GaussianBlur(small, (0, 0), 0.8)) - np.asarray(cv2.GaussianBlur(small, (0, 0), 1.5))
    band = np.where(inside, difference, 0.0)
    weight = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 6.0)
    strength = np.sqrt(cv2.GaussianBlur(band * band, (0, 0), 6.0) / (weight + 1e-6))
    # 0.4 grey levels is what compression leaves on an empty area: below it there is nothing to amplify.
    values = np.clip(band / (strength + 0.4), -2.5, 2.5)
    values = np.where(inside, values - values[inside].mean(), 0.0)
    norm = float(np.linalg.norm(values))
    return np.asarray((values / norm if norm > 1e-3 else values * 0.0).ravel(), dtype=np.float32)


def _comparable(small: NDArray[np.float32]) -> NDArray[np.bool_]:
    disc = inscribed_disc(DESCRIPTOR_SIDE, _INNER)
    lit = (np.asarray(cv2.blur(small, (3, 3))) > 6).astype(np.uint8)
    deep = cv2.erode(lit, np.ones((7, 7), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    inside = disc & (np.asarray(deep) > 0)
    # A B-scan is dark in most places; what little is lit is not enough to say where the picture ends.
    return inside if inside.sum() >= disc.sum() / 4 else disc


def cluster_duplicates(descriptors: Descriptors, patients: Sequence[str], *, modality: str = "CFP") -> Clusters:
    """Return the groups that must stay together.

    Args:
        descriptors: ``[N, D]`` from ``duplicate_descriptor``.
        patients: Patient id of each picture; an empty id joins nothing.
        modality: ``CFP`` or ``OCT``; B-scans need stricter limits.

    Raises:
        InputError: as many descriptors as patients are needed.
    """
    if len(descriptors) != len(patients):
        raise InputError("descriptors and patients differ in number", value=f"{len(descriptors)} and {len(patients)}")
    whole, blocks = _LIMITS[modality]
    pairs = _copies(np.asarray(descriptors, dtype=np.float32), whole, blocks)
    copies = closure(len(patients), pairs)
    sizes = np.bincount(copies, minlength=1)
    names: dict[int, set[str]] = {}
    for cluster, patient in zip(copies.tolist(), patients, strict=True):
        names.setdefault(cluster, set()).add(patient)
    return Clusters(
        group=closure(len(patients), np.concatenate([pairs, _patient_pairs(patients)])),
        duplicate_clusters=int((sizes > 1).sum()),
        images_in_duplicate_clusters=int(sizes[sizes > 1].sum()),
        cross_patient_clusters=sum(len(found) > 1 for found in names.values()),
        largest_cluster=int(sizes.max()) if (sizes > 1).any() else 0,
        pairs=pairs,
    )


def _patient_pairs(patients: Sequence[str]) -> Pairs:
    first: dict[str, int] = {}
    pairs = [(first.setdefault(patient, index), index) for index, patient in enumerate(patients) if patient]
    return np.asarray(pairs, dtype=np.int64).reshape(-1, 2)


def _turned(descriptors: Descriptors, turn: int) -> Descriptors:
    """Return descriptors ``[N, D]`` of mirrored pictures: bit 0 swaps left and right, bit 1 top and bottom."""
    grid = descriptors.reshape(-1, DESCRIPTOR_SIDE, DESCRIPTOR_SIDE)
    grid = grid[:, :, ::-1] if turn & 1 else grid
    grid = grid[:, ::-1, :] if turn & 2 else grid
    return np.ascontiguousarray(grid).reshape(len(descriptors), -1)


def _copies(descriptors: Descriptors, whole: float, blocks: float) -> Pairs:
    """Return the pairs ``[P, 2]`` of copies, in chunks so that memory stays at a few rows of the N × N table."""
    found: list[Pairs] = [np.empty((0, 2), dtype=np.int64)]
    for start in range(0, len(descriptors), _CHUNK):
        for turn in range(4):
            turned = _turned(descriptors[start : start + _CHUNK], turn)
            rows, columns = np.nonzero(turned @ descriptors[start:].T > whole)
            rows, columns = rows[columns > rows], columns[columns > rows] + start
            sure = _block_agreement(turned[rows], descriptors[columns]) > blocks
            found.append(np.stack([rows[sure] + start, columns[sure]], axis=1).astype(np.int64))
    return np.asarray(np.unique(np.concatenate(found), axis=0), dtype=np.int64)


def _block_agreement(left: Descriptors, right: Descriptors) -> NDArray[np.float32]:
    """Return for each pair ``[P, D]`` the median over its blocks of the correlation inside the block, ``[P]``."""
    if not len(left):
        return np.empty(0, dtype=np.float32)
    a, b = _blocks(left), _blocks(right)
    shared = ((a != 0).mean(axis=2) > 0.5) & ((b != 0).mean(axis=2) > 0.5)
    a, b = a - a.mean(axis=2, keepdims=True), b - b.mean(axis=2, keepdims=True)
    norms = np.sqrt((a * a).sum(axis=2) * (b * b).sum(axis=2))
    correlation = (a * b).sum(axis=2) / np.maximum(norms, 1e-12)
    # Without one shared block there is nothing that speaks for a copy.
    correlation = np.where(shared | ~shared.any(axis=1, keepdims=True), correlation, np.nan)
    return np.asarray(np.where(shared.any(axis=1), np.nanmedian(correlation, axis=1), -1.0), dtype=np.float32)


def _blocks(descriptors: Descriptors) -> Descriptors:
    count = DESCRIPTOR_SIDE // _BLOCK
    edge = (DESCRIPTOR_SIDE - count * _BLOCK) // 2
    grid = descriptors.reshape(-1, DESCRIPTOR_SIDE, DESCRIPTOR_SIDE)[:, edge:-edge, edge:-edge]
    tiles = grid.reshape(-1, count, _BLOCK, count, _BLOCK).transpose(0, 1, 3, 2, 4)
    return tiles.reshape(len(descriptors), count * count, _BLOCK * _BLOCK)
