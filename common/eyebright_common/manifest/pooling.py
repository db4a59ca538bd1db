"""Work on pictures in several processes, results in order.

* Work travels in batches and only a few are in flight, so memory is the results and little else.
* Workers are spawned, never forked: a fork of a process that runs torch or gRPC threads can hang.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

import cv2

from eyebright_common.errors import EyebrightError

Batch = TypeVar("Batch")
Result = TypeVar("Result")


def pooled(work: Callable[[Batch], Result], batches: Sequence[Batch], workers: int) -> Iterator[Result]:
    """Yield what ``work`` gives for each batch, in order.

    Args:
        work: A picklable function.
        batches: What to give it.
        workers: Processes.

    Raises:
        EyebrightError: a worker process died.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for batch in batches:
                waiting.append(pool.submit(work, batch))
                if len(waiting) > 3 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise EyebrightError(
                "a process that works on pictures ended unexpectedly",
                value=f"{workers} workers",
                fix="Free memory, or use one worker.",
            ) from None


def _start_worker() -> None:
    # The processes are the parallelism; threads inside them would fight over the same cores.
    cv2.setNumThreads(1)
