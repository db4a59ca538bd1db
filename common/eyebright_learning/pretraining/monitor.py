"""Whether an encoder still tells pictures apart. The loss does not say: it also falls when all tokens become equal.

* ``rank_me`` (Garrido et al., ICML 2023): with singular values sigma_k of the features ``[N, D]``,
  p_k = sigma_k / sum sigma,  RankMe = exp(-sum p_k log p_k). 1 when all features point one way, near D when they fill
  the space. Not centred, as in the paper.
* ``feature_deviation``: sqrt(D) times the mean over D of the deviation, over pictures, of the features at length 1.
  0 when all pictures look the same, near 1 when features point everywhere.
* ``neighbour_probe``: balanced accuracy of the k most similar pictures' vote (cosine; votes weighed by similarity).
  A picture's own group never votes: a patient's other eye would give the answer away.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Features = npt.NDArray[np.floating]
Index = npt.NDArray[np.int64]
_TINY = 1e-12


def rank_me(features: Features) -> float:
    """Return the effective rank of features ``[N, D]``, between 1 and min(N, D); 1 for features that are all zero."""
    values = np.linalg.svd(np.asarray(features, dtype=np.float64), compute_uv=False)
    total = float(values.sum())
    if total < _TINY:
        return 1.0
    part = values / total
    return float(np.exp(-(part * np.log(part + _TINY)).sum()))


def feature_deviation(features: Features) -> float:
    """Return the normalised deviation of features ``[N, D]``: 0 collapsed, about 1 isotropic."""
    unit = _unit(features)
    return float(np.sqrt(unit.shape[1]) * unit.std(axis=0).mean())


def neighbour_probe(features: Features, labels: Index, groups: Index, *, neighbours: int = 20) -> float | None:
    """Return the balanced accuracy of the nearest neighbours' vote, each picture's own group left out.

    Args:
        features: ``[N, D]``.
        labels: ``[N]``.
        groups: ``[N]``, patient-or-duplicate cluster.
        neighbours: k; all others where there are fewer.

    Returns:
        None when no picture has a neighbour of another group.
    """
    unit = _unit(features)
    similarity = unit @ unit.T
    similarity[groups[:, None] == groups[None, :]] = -np.inf
    classes, label = np.unique(labels, return_inverse=True)
    answered = np.isfinite(similarity).any(axis=1)
    if not answered.any():
        return None
    k = min(neighbours, len(labels) - 1)
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    weight = np.take_along_axis(similarity, nearest, axis=1)
    # From [-1, 1] to [0, 1], so that an unlike neighbour weighs little; those of the own group weigh nothing.
    weight = np.where(np.isfinite(weight), 0.5 * (1.0 + weight), 0.0)
    votes = np.stack([(weight * (label[nearest] == c)).sum(axis=1) for c in range(len(classes))], axis=1)
    right = votes.argmax(axis=1) == label
    return float(np.mean([right[answered & (label == c)].mean() for c in np.unique(label[answered])]))


def collapse_reason(*, rank: float, deviation: float, rank_floor: float, deviation_floor: float) -> str | None:
    """Return in words which measure is under its floor; None while neither is."""
    found = []
    if not rank >= rank_floor:
        found.append(f"the features' effective rank (RankMe) is {rank:.2f}, under {rank_floor:g}")
    if not deviation >= deviation_floor:
        found.append(f"their deviation between pictures is {deviation:.2g}, under {deviation_floor:g}")
    return "; ".join(found) or None


def _unit(features: Features) -> npt.NDArray[np.float64]:
    """Return features at length 1; zero stays zero."""
    wide = np.asarray(features, dtype=np.float64)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), _TINY))
