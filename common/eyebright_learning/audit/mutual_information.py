"""How much a picture's source says about its label, in bits.

    I(L; S) = sum_ls p(l, s) log2 p(l, s) / (p(l) p(s))        H(L) = -sum_l p(l) log2 p(l)

``share`` = I / H(L) (Theil's uncertainty coefficient) is 0 when sources have the same mix of labels and 1 when every
source has one label. Small tables look informative by chance; the first-order bias of the counted figure (Miller 1955),
(K_LS - K_L - K_S + 1) / (2 N ln 2) bits with K the numbers of labels, sources and pairs that occur, is taken off. What
comes out is held between 0 and H(L).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import mutual_info_score


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedInformation:
    """What source and label share.

    Attributes:
        bits: Mutual information, corrected for the size of the data.
        label_bits: Entropy of the label, the most it could be.
        share: ``bits / label_bits``; None when there is one label only.
    """

    bits: float
    label_bits: float
    share: float | None


def shared_information(labels: Sequence[str], sources: Sequence[str]) -> SharedInformation:
    """Return the mutual information of one label and one source per picture."""
    if not labels:
        return SharedInformation(bits=0.0, label_bits=0.0, share=None)
    p = np.asarray(list(Counter(labels).values())) / len(labels)
    entropy = float(-(p * np.log2(p)).sum())
    pairs = len(set(zip(labels, sources, strict=True)))
    excess = (pairs - len(set(labels)) - len(set(sources)) + 1) / (2 * len(labels))
    counted = float(mutual_info_score(list(labels), list(sources)))
    bits = min(max(0.0, (counted - excess) / math.log(2)), entropy)
    return SharedInformation(bits=bits, label_bits=entropy + 0.0, share=bits / entropy if entropy else None)
