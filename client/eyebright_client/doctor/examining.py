"""All pictures of a manifest, examined in parallel, with what is known already taken from the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from eyebright_client.doctor.picture import PictureFacts, examine_batch
from eyebright_client.doctor.results_store import ResultsStore, result_key
from eyebright_common.manifest import Row
from eyebright_common.manifest.pooling import pooled

_BATCH = 16
_WORTH_A_POOL = 128

Progress = Callable[[int, int], None]


def examine_rows(
    rows: Sequence[Row], *, store: ResultsStore, workers: int = 2, on_progress: Progress | None = None
) -> list[PictureFacts]:
    """Return the facts of each row's picture, in order.

    Args:
        rows: What to look at.
        store: Where results are found and kept.
        workers: Processes; 1 (or few pictures) stays in this process.
        on_progress: Called with ``(pictures done, pictures in all)``.
    """
    keys = [result_key(row) for row in rows]
    found = store.known(keys)
    missing = [index for index, key in enumerate(keys) if key not in found]
    done = len(rows) - len(missing)
    fresh: dict[int, PictureFacts] = {}
    batches = [missing[start : start + _BATCH] for start in range(0, len(missing), _BATCH)]
    for indices, results in zip(batches, _results(rows, batches, workers), strict=True):
        store.keep([(keys[index], facts) for index, facts in zip(indices, results, strict=True)])
        fresh.update(zip(indices, results, strict=True))
        done += len(indices)
        if on_progress is not None:
            on_progress(done, len(rows))
    return [fresh[index] if index in fresh else found[key] for index, key in enumerate(keys)]


def _results(rows: Sequence[Row], batches: Sequence[Sequence[int]], workers: int) -> Iterator[list[PictureFacts]]:
    work = [[rows[index] for index in batch] for batch in batches]
    alone = workers < 2 or sum(map(len, work)) < _WORTH_A_POOL
    return map(examine_batch, work) if alone else pooled(examine_batch, work, workers)
