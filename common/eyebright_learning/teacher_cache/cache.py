"""Teacher targets on disk: built once, resumable, replayed by (picture, view).

* A file whose key differs (teacher, pictures, view code, library versions) or that has fewer views than asked for is
  rebuilt, never used; ``check_key`` says in words what differs. More views than asked for, with or without features,
  are welcome.
* ``logits`` returns what the teacher said; ``targets`` divides by the teacher's temperature, and is what students
  learn from. The distillation temperature comes on top, in the loss. ``features`` returns the last attention, reduced.
* Records stay on disk and are mapped: memory does not grow with the cache. A file that has its name is never written
  again, so an open cache stays valid when a rebuilt one takes its name.
* ``verify`` runs the teacher again over a sample and says how far the records are off.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from eyebright_common.errors import InputError
from eyebright_learning.data import PreparedImages
from eyebright_learning.models import Teacher
from eyebright_learning.models.features import FeatureTargets
from eyebright_learning.teacher_cache.build import Progress, build, free_bytes, plan_header
from eyebright_learning.teacher_cache.key import CacheKey
from eyebright_learning.teacher_cache.layout import MAX_FEATURE_VIEWS, CacheHeader, CacheRecords, map_cache
from eyebright_learning.teacher_cache.staleness import objections
from eyebright_learning.teacher_cache.verification import CacheCheck, compare
from eyebright_learning.views import AUGMENTATION_ID


class TeacherCache:
    """Complete teacher targets of one set of pictures; make one with ``open`` or ``open_or_build``."""

    def __init__(self, header: CacheHeader, records: CacheRecords) -> None:
        self.header = header
        self.records = records

    @property
    def views(self) -> int:
        """Number of views per picture."""
        return self.header.views

    @property
    def feature_views(self) -> int:
        """Number of views with features, from view 0 on."""
        return self.header.feature_views

    @property
    def feature_shape(self) -> tuple[int, int] | None:
        """(n tokens, width w) of the features; None when there are none."""
        found = self.header.features
        return None if found is None else (found.tokens, found.width)

    @property
    def temperature(self) -> float:
        """The teacher's fitted temperature."""
        return self.header.temperature

    def __len__(self) -> int:
        return self.header.images

    def logits(self, index: npt.ArrayLike, view: int) -> npt.NDArray[np.float32]:
        """Return raw teacher logits float32 ``[B, C]`` of pictures ``index`` in view ``view`` (modulo ``views``)."""
        rows = self.records.of_view(view % self.views)["logits"][np.asarray(index)]
        return np.asarray(rows, dtype=np.float32)

    def targets(self, index: npt.ArrayLike, view: int) -> npt.NDArray[np.float32]:
        """Return calibrated teacher logits, ``logits / temperature``, float32 ``[B, C]``."""
        return self.logits(index, view) / np.float32(self.temperature)

    def features(self, index: npt.ArrayLike, view: int) -> FeatureTargets | None:
        """Return reduced features ``[B, n, w]`` of pictures ``index`` in view ``view`` (modulo ``views``).

        Returns:
            The features on the CPU, or None when this view carries none.
        """
        found = self.header.features
        if found is None or view % self.views >= found.views:
            return None
        # One gather of halves, then torch's conversion: NumPy's is an order of magnitude slower.
        rows = torch.from_numpy(self.records.of_view(view % self.views)["features"][np.asarray(index)])
        tokens, query, key, value = rows.float().unbind(1)
        return FeatureTargets(tokens, query, key, value, 1.0 / math.sqrt(found.teacher_width))

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        teacher_sha256: str,
        images: PreparedImages,
        views: int,
        modality: str = "CFP",
        feature_views: int = 0,
        family: str = AUGMENTATION_ID,
    ) -> TeacherCache | None:
        """Return the cache at ``path`` without needing the teacher itself.

        Returns:
            The cache, or None when there is none, it was made from something else, or it has fewer views or features.
        """
        mapped = map_cache(path)
        key = CacheKey.of(teacher_sha256=teacher_sha256, images=images, modality=modality, family=family)
        if mapped is None or objections(mapped[0], key, images, views=views, feature_views=feature_views):
            return None
        return cls(*mapped)

    @classmethod
    def open_or_build(
        cls,
        path: Path,
        *,
        teacher: Teacher,
        images: PreparedImages,
        views: int,
        modality: str = "CFP",
        feature_views: int = 0,
        family: str = AUGMENTATION_ID,
        batch_size: int = 64,
        on_progress: Progress | None = None,
        on_plan: Callable[[int], None] | None = None,
        free: Callable[[Path], int] = free_bytes,
    ) -> TeacherCache:
        """Return the cache at ``path``, building or finishing it first where needed.

        Args:
            path: The cache file.
            teacher: Asked only for records that are missing.
            images: The pictures.
            views: Views per picture.
            modality: ``CFP`` or ``OCT``.
            feature_views: How many of the first views carry features as well; at most four.
            family: Of the views; says how strong they are.
            batch_size: Pictures per teacher call.
            on_progress: Called with (records held, records in all).
            on_plan: Called before a build starts with the size in bytes that the file will have.
            free: Says how many bytes the disk of a folder can still take.

        Raises:
            InputError: there are no pictures, no views, the pictures have another size than the teacher's, or the
                teacher has no features.
            EyebrightError: the disk is too small, or the teacher gave a value that is not a number.
        """
        _check_inputs(teacher, images, views=views, feature_views=feature_views)
        digest = teacher.digest()

        def held() -> TeacherCache | None:
            return cls.open(
                path,
                teacher_sha256=digest,
                images=images,
                views=views,
                modality=modality,
                feature_views=feature_views,
                family=family,
            )

        if (known := held()) is not None:
            return known
        planned = plan_header(
            teacher,
            images,
            digest=digest,
            views=views,
            modality=modality,
            feature_views=feature_views,
            family=family,
        )
        build(
            path,
            planned,
            teacher,
            images,
            batch_size=batch_size,
            on_progress=on_progress,
            on_plan=on_plan,
            free=free,
        )
        built = held()
        assert built is not None, "a cache that was just written must be readable"
        return built

    def verify(
        self, teacher: Teacher, images: PreparedImages, *, fraction: float = 0.01, seed: int = 0, batch_size: int = 64
    ) -> CacheCheck:
        """Re-run the teacher over a random ``fraction`` of the records and compare.

        At least one record with features and one without are compared, where there are such.

        Raises:
            InputError: the pictures are not those of this cache.
        """
        if images.digest() != self.header.key.images_sha256:
            raise InputError("the pictures are not those of this cache", fix="Open the cache with its own pictures.")
        return compare(self.header, self.records, teacher, images, fraction=fraction, seed=seed, batch_size=batch_size)


def _check_inputs(teacher: Teacher, images: PreparedImages, *, views: int, feature_views: int) -> None:
    if len(images) == 0 or views < 1:
        raise InputError("a teacher cache needs pictures and views", value=f"{len(images)} pictures, {views} views")
    if images.size != teacher.identity.image_size:
        raise InputError(
            "the pictures have another size than the teacher's",
            value=f"{images.size} px, not {teacher.identity.image_size} px",
            fix="Prepare the pictures at the teacher's size.",
        )
    if not 0 <= feature_views <= min(views, MAX_FEATURE_VIEWS):
        raise InputError(
            "feature_views is out of range",
            value=f"{feature_views} of {views} views",
            fix=f"At most {MAX_FEATURE_VIEWS} views, and not more than there are, carry features.",
        )
    if feature_views and not teacher.has_features:
        raise InputError(
            "this teacher has no features to keep",
            value=teacher.architecture,
            fix="Choose a vision transformer or a hybrid, or ask for no feature views.",
        )
