"""What a cache was made from. If any of it differs, the cache is of something else and is rebuilt, never reused."""

from __future__ import annotations

from importlib.metadata import version

from eyebright_common.documents import Document
from eyebright_learning.data import PreparedImages
from eyebright_learning.views import AUGMENTATION_ID

_LIBRARIES = ("numpy", "opencv-python-headless", "timm", "torch")


class CacheKey(Document):
    """Everything that decides a cached value.

    Attributes:
        teacher_sha256: Digest of the teacher, its temperature included.
        augmentation: Family of the views, its version included.
        modality: What the views found plausible.
        libraries: Versions of what computed the views and the logits.
        images_sha256: Digest of the pictures, in order.
        image_size: Side in pixels.
    """

    teacher_sha256: str
    augmentation: str
    modality: str
    libraries: dict[str, str]
    images_sha256: str
    image_size: int

    @classmethod
    def of(
        cls, *, teacher_sha256: str, images: PreparedImages, modality: str, family: str = AUGMENTATION_ID
    ) -> CacheKey:
        """Return the key for these pictures, this teacher, these views and the code that is running."""
        return cls(
            teacher_sha256=teacher_sha256,
            augmentation=family,
            modality=modality,
            libraries={name: version(name) for name in _LIBRARIES},
            images_sha256=images.digest(),
            image_size=images.size,
        )

    def differences(self, wanted: CacheKey) -> tuple[str, ...]:
        """Return in words what this key has and ``wanted`` has not; empty when they are equal."""
        found = [
            ("teacher", self.teacher_sha256[:12], wanted.teacher_sha256[:12]),
            ("view pipeline", self.augmentation, wanted.augmentation),
            ("modality", self.modality, wanted.modality),
            ("pictures", self.images_sha256[:12], wanted.images_sha256[:12]),
            ("picture size", f"{self.image_size} px", f"{wanted.image_size} px"),
        ]
        names = sorted({*self.libraries, *wanted.libraries})
        found += [(name, self.libraries.get(name, "absent"), wanted.libraries.get(name, "absent")) for name in names]
        return tuple(f"{name}: {held}, not {asked}" for name, held, asked in found if held != asked)
