"""Running the teacher again over a sample of the records: how far is what is held from what it says now?

* Both sides are half floats, so on the machine that built the cache the difference is at most one unit in the last
  place. Another processor or another batch size may round otherwise; the tolerances leave room for that and for nothing
  a student could notice.
* Features span several orders of magnitude: their error is relative to the value once that exceeds 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eyebright_learning.data import PreparedImages
from eyebright_learning.models import Teacher
from eyebright_learning.teacher_cache.layout import CacheHeader, CacheRecords
from eyebright_learning.teacher_cache.recompute import compute_records

LOGIT_TOLERANCE = 0.05
FEATURE_TOLERANCE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheCheck:
    """What re-running the teacher over a sample of records showed.

    Attributes:
        records: Records compared.
        max_abs_error: Largest difference of a logit.
        argmax_mismatches: Records whose top class differs.
        seed_mismatches: Records whose stored view seed is not the view's.
        feature_records: Compared records that carry features.
        max_feature_error: Largest difference of a feature, divided by its size where that exceeds 1; 0 without any.
    """

    records: int
    max_abs_error: float
    argmax_mismatches: int
    seed_mismatches: int
    feature_records: int = 0
    max_feature_error: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether every seed is right and every difference is within its tolerance.

        A changed top class alone does not count: two classes may be that close.
        """
        return (
            self.seed_mismatches == 0
            and self.max_abs_error <= LOGIT_TOLERANCE
            and self.max_feature_error <= FEATURE_TOLERANCE
        )


def compare(
    header: CacheHeader,
    records: CacheRecords,
    teacher: Teacher,
    images: PreparedImages,
    *,
    fraction: float,
    seed: int,
    batch_size: int,
) -> CacheCheck:
    """Return what a random ``fraction`` of the records looks like beside the teacher's answers of now."""
    checks = []
    chosen = _sample(header, fraction, np.random.default_rng(seed))
    for view in np.unique(chosen // header.images):
        index = chosen[chosen // header.images == view] % header.images
        for start in range(0, len(index), batch_size):
            some = index[start : start + batch_size]
            fresh = compute_records(teacher, images, some, int(view), header, records.bases)
            checks.append(_difference(fresh, records.of_view(int(view))[some]))
    return CacheCheck(
        records=sum(check.records for check in checks),
        max_abs_error=max(check.max_abs_error for check in checks),
        argmax_mismatches=sum(check.argmax_mismatches for check in checks),
        seed_mismatches=sum(check.seed_mismatches for check in checks),
        feature_records=sum(check.feature_records for check in checks),
        max_feature_error=max(check.max_feature_error for check in checks),
    )


def _sample(header: CacheHeader, fraction: float, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return sorted record numbers, drawn apart from those with features and those without."""
    wide = header.feature_views * header.images
    chosen = []
    for first, end in ((0, wide), (wide, header.records)):
        if end > first:
            count = min(end - first, max(1, round(fraction * (end - first))))
            chosen.append(first + np.sort(generator.choice(end - first, count, replace=False)))
    return np.concatenate(chosen).astype(np.int64)


def _difference(fresh: npt.NDArray[np.void], held: npt.NDArray[np.void]) -> CacheCheck:
    now, then = fresh["logits"].astype(np.float64), held["logits"].astype(np.float64)
    has_features = "features" in (held.dtype.names or ())
    return CacheCheck(
        records=len(held),
        max_abs_error=_largest(np.abs(now - then)),
        argmax_mismatches=int((now.argmax(1) != then.argmax(1)).sum()),
        seed_mismatches=int((fresh["seed"] != held["seed"]).sum()),
        feature_records=len(held) if has_features else 0,
        max_feature_error=_feature_error(fresh["features"], held["features"]) if has_features else 0.0,
    )


def _feature_error(fresh: npt.NDArray[np.float16], held: npt.NDArray[np.float16]) -> float:
    now, then = fresh.astype(np.float64), held.astype(np.float64)
    return _largest(np.abs(now - then) / np.maximum(1.0, np.abs(now)))


def _largest(errors: npt.NDArray[np.float64]) -> float:
    # What is held may have been damaged into something that is not a number, and a maximum must not pass over that.
    return float("inf") if not np.isfinite(errors).all() else float(errors.max())
