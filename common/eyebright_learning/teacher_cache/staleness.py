"""Why a cache file cannot be used: the rule by which it opens, and the same in words for a person.

* What was computed from something else (teacher, view pipeline, libraries, pictures) is refused. So is less than is
  asked for: fewer views, fewer views with features.
* The version of the reduction matters only to who asks for features.
"""

from __future__ import annotations

from pathlib import Path

from eyebright_learning.data import PreparedImages
from eyebright_learning.teacher_cache.key import CacheKey
from eyebright_learning.teacher_cache.layout import CacheHeader, map_cache
from eyebright_learning.teacher_cache.reduction import REDUCTION_ID
from eyebright_learning.views import AUGMENTATION_ID


def check_key(
    path: Path,
    *,
    teacher_sha256: str,
    images: PreparedImages,
    views: int,
    modality: str = "CFP",
    feature_views: int = 0,
    family: str = AUGMENTATION_ID,
    classes: int | None = None,
) -> tuple[str, ...]:
    """Return in words why ``TeacherCache.open`` gives None for the file at ``path``; empty when it opens.

    Args:
        path: The cache file.
        teacher_sha256: The teacher's digest.
        images: The pictures.
        views: Views that are needed.
        modality: ``CFP`` or ``OCT``.
        feature_views: Views with features that are needed.
        family: Of the views.
        classes: The teacher's number of classes, where it is known.
    """
    mapped = map_cache(path)
    if mapped is None:
        return ("no complete teacher cache of this version",) if path.exists() else ("there is no such file",)
    key = CacheKey.of(teacher_sha256=teacher_sha256, images=images, modality=modality, family=family)
    reasons = objections(mapped[0], key, images, views=views, feature_views=feature_views)
    if classes is not None and classes != mapped[0].classes:
        reasons += (f"classes: {mapped[0].classes}, not {classes}",)
    return reasons


def objections(
    header: CacheHeader, key: CacheKey, images: PreparedImages, *, views: int, feature_views: int
) -> tuple[str, ...]:
    """Return in words what a file with this header has and what is asked for has not; empty when it will do."""
    found = list(header.key.differences(key))
    if header.images != len(images):
        found.append(f"number of pictures: {header.images}, not {len(images)}")
    if header.views < views:
        found.append(f"views: {header.views}, fewer than {views}")
    if header.feature_views < feature_views:
        found.append(f"views with features: {header.feature_views}, fewer than {feature_views}")
    elif feature_views and header.features is not None and header.features.method != REDUCTION_ID:
        found.append(f"features: {header.features.method}, not {REDUCTION_ID}")
    return tuple(found)
