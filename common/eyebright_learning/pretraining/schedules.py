"""What changes from step to step, as functions of the step s of 0 … S-1.

With W warm-up steps:

    rate      s < W:  r_0 + (r - r_0) (s + 1) / W
              else:   r_end + (r - r_end) (1 + cos(pi (s - W) / (S - W))) / 2
    decay     d_end + (d_0 - d_end) (1 + cos(pi s / S)) / 2
    momentum  m_0 + (1 - m_0) s / S

A step's values depend on the step alone, so a resumed run continues them.
"""

from __future__ import annotations

import math


def learning_rate_at(step: int, *, steps: int, warmup_steps: int, start: float, peak: float, final: float) -> float:
    """Return the learning rate: a straight rise from ``start`` to ``peak``, then half a cosine to ``final``."""
    if step < warmup_steps:
        return start + (peak - start) * (step + 1) / warmup_steps
    return _half_cosine((step - warmup_steps) / max(1, steps - warmup_steps), first=peak, last=final)


def weight_decay_at(step: int, *, steps: int, start: float, final: float) -> float:
    """Return the weight decay: half a cosine from ``start`` to ``final``."""
    return _half_cosine(step / steps, first=start, last=final)


def momentum_at(step: int, *, steps: int, start: float) -> float:
    """Return how much of itself the target encoder keeps: a straight line from ``start`` towards 1."""
    return start + (1.0 - start) * step / steps


def _half_cosine(progress: float, *, first: float, last: float) -> float:
    return last + (first - last) * 0.5 * (1.0 + math.cos(math.pi * progress))
