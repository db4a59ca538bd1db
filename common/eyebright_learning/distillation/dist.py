"""DIST: distil relations instead of values (Huang et al., NeurIPS 2022, arXiv 2205.10536).

    P_S, P_T = softmax(z_S / T), softmax(z_T / T)                      [B, C]
    L_inter  = (1/B) sum_b [1 - rho(P_S[b, :], P_T[b, :])]             rows: how classes relate for one picture
    L_intra  = (1/C) sum_c [1 - rho(P_S[:, c], P_T[:, c])]             columns: how pictures relate for one class
    L_DIST   = beta L_inter + gamma L_intra                            rho: Pearson correlation

With four classes a row has few degrees of freedom and the columns carry the signal: use batches of 32 or more.
A row or column without variance has no correlation; it counts as rho = 0 and gives no gradient, instead of NaN.
"""

from __future__ import annotations

import torch
from torch import Tensor

_LEAST_NORM = 1e-6


def dist(
    student: Tensor, teacher: Tensor, *, temperature: float = 1.0, beta: float = 1.0, gamma: float = 1.0
) -> Tensor:
    """Return L_DIST of student logits against teacher logits, both ``[B, C]``; a scalar in [0, 2 (beta + gamma)]."""
    p_student = torch.softmax(student.float() / temperature, dim=1)
    p_teacher = torch.softmax(teacher.detach().float() / temperature, dim=1)
    inter = 1.0 - pearson(p_student, p_teacher).mean()
    intra = 1.0 - pearson(p_student.t(), p_teacher.t()).mean()
    return beta * inter + gamma * intra


def pearson(a: Tensor, b: Tensor) -> Tensor:
    """Return the correlation of each row of ``a`` with the same row of ``b``, ``[rows]``; 0 where one is constant."""
    return (_standard(a) * _standard(b)).sum(dim=1)


def _standard(rows: Tensor) -> Tensor:
    """Return rows of zero mean and unit norm; a constant row becomes zeros."""
    centred = rows - rows.mean(dim=1, keepdim=True)
    square = centred.square().sum(dim=1, keepdim=True)
    varied = square > _LEAST_NORM**2
    # The inner `where` keeps the square root's infinite slope at zero out of the backward pass.
    norm = torch.where(varied, square, 1.0).sqrt()
    return torch.where(varied, centred / norm, 0.0)
