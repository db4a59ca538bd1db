"""How much of the machine a round may take, enforced and not only asked for.

* ``cpus`` ties every thread of the process to so many processors: a library that starts more threads than it was told
  gets no more of the machine.
* ``gpu_share`` is the part of the graphics card's memory a round may hold; more is an error of that round, not of the
  programs beside it. At 0, the usual value, no graphics card is used, and the node's worker does not even see one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from eyebright_client.policy.approval import Policy


@contextmanager
def within_limits(policy: Policy) -> Iterator[torch.device]:
    """Run a block within the policy's limits; give it the device to compute on."""
    before = os.sched_getaffinity(0)
    if policy.cpus is not None:
        _tie_to(set(sorted(before)[: policy.cpus]))
    try:
        yield _device(policy.gpu_share)
    finally:
        if policy.cpus is not None:
            _tie_to(before)


def _tie_to(processors: set[int]) -> None:
    """Tie every thread there is; those to come inherit it."""
    for thread in Path("/proc/self/task").iterdir():
        try:
            os.sched_setaffinity(int(thread.name), processors)
        except ProcessLookupError:
            continue  # it has ended since


def _device(share: float) -> torch.device:
    if not share or not torch.cuda.is_available():
        return torch.device("cpu")
    torch.cuda.set_per_process_memory_fraction(share)
    return torch.device("cuda")
