"""Which update points against the others': a suspicion for the operator, never a verdict.

* A robust average makes a turned update harmless and says nothing about whose it was. Here the cosine of each pair of
  updates is looked at. What stands for a hospital is the median of its cosines with the others, so that a minority
  moves nobody's figure but its own.
* An update is named when it points against most others while the others, without it, point the same way. Where they do
  not agree (late in a run, or with hospitals that have little in common) nobody is named: there is no side to be on.
* Being named changes nothing: the reply is averaged like the others, is no offence, and suspends nobody. Who is named
  may have another camera, or labels the wrong way round without knowing it.
* Weights only; running statistics follow the camera. With differential privacy nothing is looked at: what one update
  says to the operator would not be in the account.

How often each attack is named, and how often an honest hospital, is in docs/federation.md; the tests measure it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eyebright_common.exchange import is_running_statistic
from eyebright_server.federation.records import Arrays, Opposed, Reply

# Chosen on the hospitals of tests/integration/test_federation_direction.py, as different as they come there: of 34,000
# honest replies none was named.
AGAINST, AGREED = -0.3, 0.5
_BUCKETS = 1 << 14
_SEED = 28


def opposed(replies: Sequence[Reply], sent: Arrays, *, least_cohort: int) -> tuple[Opposed, ...]:
    """Return the hospitals whose update points against the others'.

    Args:
        replies: Accepted ones, with the names and shapes of ``sent``.
        sent: The student each began with.
        least_cohort: Replies needed before they can be compared.
    """
    if len(replies) < max(3, least_cohort):
        return ()
    found = directions(cosines(replies, sent))
    return tuple(
        Opposed(site=reply.site, cosine=round(own, 3), others=round(others, 3))
        for reply, (own, others) in zip(replies, found, strict=True)
        if own < AGAINST and others > AGREED
    )


def directions(pairs: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Return, for each update, the median of its cosines with the others, and that of the others among themselves.

    Args:
        pairs: Cosines ``[N, N]``, at least three.
    """
    alone = np.where(np.eye(len(pairs), dtype=bool), np.nan, pairs)
    return [
        (float(np.nanmedian(alone[i])), float(np.median(np.nanmedian(_without(alone, i), axis=1))))
        for i in range(len(alone))
    ]


def cosines(replies: Sequence[Reply], sent: Arrays) -> NDArray[np.float64]:
    """Return the cosine of each pair of updates ``[N, N]``; 0 with one that changes nothing.

    Of an update longer than ``_BUCKETS`` a sketch is compared (Charikar, Chen and Farach-Colton 2002): its coordinates,
    with signs drawn once for all, added up in so many buckets. Cosines are then right to about 0.01, and memory is that
    of one update whatever their number.
    """
    names = [name for name in sorted(sent) if not is_running_statistic(name) and sent[name].dtype.kind == "f"]
    size = sum(sent[name].size for name in names)
    drawn = np.frombuffer(np.random.default_rng(_SEED).bytes(size // 8 + 1), dtype=np.uint8)
    signs = 1.0 - 2.0 * np.unpackbits(drawn, count=size).astype(np.float32)
    sketches = np.stack([_sketch(reply, sent, names, signs) for reply in replies])
    products = sketches @ sketches.T
    lengths = np.sqrt(np.diag(products))
    scale = np.where(lengths > 0, lengths, np.inf)
    found: NDArray[np.float64] = products / np.outer(scale, scale)
    return found


def _sketch(reply: Reply, sent: Arrays, names: Sequence[str], signs: NDArray[np.float32]) -> NDArray[np.float64]:
    wanted = set(names)
    moved = {name: (array - sent[name]).ravel() for name, array in reply.arrays.items() if name in wanted}
    update = np.concatenate([moved[name] for name in names]) * signs
    padded = np.pad(update, (0, -len(update) % _BUCKETS))
    found: NDArray[np.float64] = padded.reshape(-1, _BUCKETS).sum(axis=0, dtype=np.float64)
    return found


def _without(matrix: NDArray[np.float64], index: int) -> NDArray[np.float64]:
    kept = np.arange(len(matrix)) != index
    return matrix[np.ix_(kept, kept)]
