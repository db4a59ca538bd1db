"""The learning rate: a linear rise, then half a cosine, over the whole schedule; level while weights are averaged.

With W warm-up steps of S in all, peak r and floor f r, step s of 0 … S-1 has

    s < W:   r (s + 1) / W
    else:    r (f + (1 - f) (1 + cos(pi (s - W) / (S - W))) / 2)

Where weights are averaged from step A on, the cosine ends at A instead of S, and the rate is a r from there: an average
of weights that hardly move any more would be the last of them.
A federated round continues where the last one stopped: its steps are offset by the epochs behind it.
"""

from __future__ import annotations

import math


def rate_at(
    step: int,
    *,
    steps: int,
    peak: float,
    warmup: float,
    final: float,
    averaging_from: int | None = None,
    averaging: float = 0.0,
) -> float:
    """Return the learning rate of step ``step`` out of ``steps``.

    Args:
        step: From 0, over the whole schedule.
        steps: Length of the whole schedule.
        peak: Highest rate.
        warmup: Part of the schedule that rises.
        final: Floor as a part of the peak.
        averaging_from: First step of the averaged part; None for none.
        averaging: Rate of the averaged part, as a part of the peak.
    """
    rising = round(warmup * steps)
    if step < rising:
        return peak * (step + 1) / rising
    if averaging_from is not None and step >= averaging_from:
        return peak * averaging
    end = steps if averaging_from is None else averaging_from
    progress = (step - rising) / max(1, end - rising)
    return peak * (final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * progress)))
