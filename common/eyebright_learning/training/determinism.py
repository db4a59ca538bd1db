"""Same seed, same weights, bit for bit, on one machine with one number of threads.

Sums are taken in another order with another number of threads, so equal bits are promised per thread count only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def set_determinism(seed: int, threads: int | None = None) -> None:
    """Make this process deterministic: seeds torch, allows only deterministic kernels, fixes the threads."""
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    if threads is not None:
        torch.set_num_threads(threads)


@contextmanager
def own_randomness(seed: int, threads: int | None) -> Iterator[None]:
    """Run a block with its own torch seed and threads, and give the process its own back afterwards."""
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)
