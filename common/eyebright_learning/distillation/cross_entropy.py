"""Cross-entropy on the labels.

    L_CE = (1/B) sum_b -log softmax(z_S)_b[y_b]

With class weights w the mean is weighted, ``sum_b w[y_b] l_b / sum_b w[y_b]``; with smoothing e the target is
``(1 - e) onehot(y) + e / C``.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def cross_entropy(
    student: Tensor, labels: Tensor, *, smoothing: float = 0.0, class_weights: Tensor | None = None
) -> Tensor:
    """Return the cross-entropy of student logits ``[B, C]`` against labels ``[B]``; a scalar."""
    return F.cross_entropy(student.float(), labels, weight=class_weights, label_smoothing=smoothing)
