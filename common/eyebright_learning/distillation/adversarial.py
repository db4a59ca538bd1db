"""Adversarial alignment: student tokens that a discriminator takes for the teacher's (ACCV 2022, arXiv 2207.05273).

    L_MAD = mean [-log D(h_T) - log(1 - D(h'_S))]       the discriminator's, on detached h'_S
    L_MVG = mean [-log D(h'_S)]                         the student's, non-saturating

* D is three fully connected layers on one token; its losses are taken from logits.
* Two players, two optimisers, alternating: ``learn`` takes one step of D, then ``fool`` gives the student's term with D
  held still. A D that learnt from the student's backward pass would help it.
* D is made afresh with every stretch of training and must find its feet within one: a constant rate, no warm-up.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_RATE = 1e-3
_BETAS = (0.5, 0.999)
_SLOPE = 0.2


class Adversary(nn.Module):
    """The discriminator with its own optimiser.

    Attributes:
        layers: Token ``[..., w]`` to a logit ``[..., 1]`` of its being the teacher's.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, width),
            nn.LeakyReLU(_SLOPE),
            nn.Linear(width, width),
            nn.LeakyReLU(_SLOPE),
            nn.Linear(width, 1),
        )
        self._optimiser = torch.optim.AdamW(self.layers.parameters(), lr=_RATE, betas=_BETAS)

    def learn(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Take one step of the discriminator on tokens ``[B, n, w]`` and return L_MAD before it, detached."""
        self._optimiser.zero_grad(set_to_none=True)
        loss = discrimination(self.layers(student.detach()), self.layers(teacher.detach()))
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self._optimiser.step()
        return loss.detach()

    def fool(self, student: Tensor) -> Tensor:
        """Return L_MVG of student tokens ``[B, n, w]``; a scalar without a path to the discriminator."""
        still = {name: parameter.detach() for name, parameter in self.layers.named_parameters()}
        return deception(cast(Tensor, torch.func.functional_call(self.layers, still, student)))


def discrimination(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Return L_MAD from the discriminator's logits; a scalar, 2 ln 2 for one that cannot tell."""
    return F.softplus(student_logits).mean() + F.softplus(-teacher_logits).mean()


def deception(student_logits: Tensor) -> Tensor:
    """Return L_MVG from the discriminator's logits; a scalar, ln 2 when it cannot tell."""
    return F.softplus(-student_logits).mean()
