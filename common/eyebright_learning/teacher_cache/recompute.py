"""What the teacher says of one view of some pictures, as the records that are kept; for building and for verifying.

* The teacher is in evaluation mode and leaves as it came. One pass gives logits and features.
* Half floats: a value beyond their range is cut to the largest one; a value that is not a number stops the work.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from eyebright_common.errors import EyebrightError
from eyebright_learning.data import PreparedImages
from eyebright_learning.models import Teacher
from eyebright_learning.models.attention import teacher_features
from eyebright_learning.models.features import TeacherFeatures
from eyebright_learning.teacher_cache import reduction
from eyebright_learning.teacher_cache.layout import CacheHeader
from eyebright_learning.views import AUGMENTATION_ID, augment, view_seed

Index = npt.NDArray[np.int64]


def compute_records(
    teacher: Teacher,
    images: PreparedImages,
    index: Index,
    view: int,
    header: CacheHeader,
    bases: npt.NDArray[np.float32],
) -> npt.NDArray[np.void]:
    """Return the records of pictures ``index`` in view ``view``, from the teacher itself.

    Raises:
        EyebrightError: the teacher gave a value that is not a number.
    """
    records = np.empty(len(index), dtype=header.record_dtype(view))
    batch = _view(images, index, view, header.key.modality, header.key.augmentation)
    records["seed"] = [view_seed(images.digests[i], view) for i in index]
    if view < header.feature_views:
        seen = _look_inside(teacher, batch)
        records["logits"] = _halves(seen.logits, "logit")
        turned = reduction.reduce(reduction.pooled(seen), torch.tensor(bases, device=seen.tokens.device))
        records["features"] = _halves(turned, "feature")
    else:
        records["logits"] = _halves(_answer(teacher, batch), "logit")
    return records


def probe_shape(teacher: Teacher, images: PreparedImages) -> tuple[int, int, int]:
    """Return (n, w, D) of this teacher's features, from one picture."""
    return reduction.reduced_shape(_look_inside(teacher, _view(images, np.array([0]), 0, "CFP", AUGMENTATION_ID)))


def sample_features(teacher: Teacher, images: PreparedImages, *, modality: str, family: str, batch_size: int) -> Tensor:
    """Return pooled features of the fixed sample in view 0, on the CPU, ``[4, B, n, D]``."""
    index = np.asarray(reduction.sample_pictures(len(images)))
    batches = [index[start : start + batch_size] for start in range(0, len(index), batch_size)]
    parts = [
        reduction.pooled(_look_inside(teacher, _view(images, some, 0, modality, family))).cpu() for some in batches
    ]
    sample = torch.cat(parts, dim=1)
    _check_finite(sample, "feature")
    return sample


def _view(images: PreparedImages, index: Index, view: int, modality: str, family: str) -> Tensor:
    digests = [images.digests[i] for i in index]
    return augment(images.pixels[index], digests, view, modality=modality, family=family)


def _answer(teacher: Teacher, batch: Tensor) -> Tensor:
    with _at_rest(teacher):
        logits: Tensor = teacher(batch.to(teacher.temperature.device))
        return logits


def _look_inside(teacher: Teacher, batch: Tensor) -> TeacherFeatures:
    with _at_rest(teacher):
        return teacher_features(teacher, batch.to(teacher.temperature.device))


@contextmanager
def _at_rest(teacher: Teacher) -> Iterator[None]:
    was_training = teacher.training
    teacher.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        teacher.train(was_training)


def _halves(values: Tensor, what: str) -> npt.NDArray[np.float16]:
    _check_finite(values, what)
    largest = float(np.finfo(np.float16).max)
    halves: npt.NDArray[np.float16] = values.float().clamp(-largest, largest).half().cpu().numpy()
    return halves


def _check_finite(values: Tensor, what: str) -> None:
    if not bool(torch.isfinite(values).all()):
        raise EyebrightError(
            f"the teacher gave a {what} that is not a number", fix="Train the teacher again; its weights are damaged."
        )
