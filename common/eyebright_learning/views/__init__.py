"""A view of a picture is ``(family, picture digest, view number)``; all its randomness comes from there."""

from eyebright_learning.views.augment import augment, plain
from eyebright_learning.views.draws import view_seed
from eyebright_learning.views.families import (
    AUGMENTATION_ID,
    FAMILIES,
    STRONG_STUDENT,
    STRONG_TEACHER,
    get_family,
)

__all__ = [
    "AUGMENTATION_ID",
    "FAMILIES",
    "STRONG_STUDENT",
    "STRONG_TEACHER",
    "augment",
    "get_family",
    "plain",
    "view_seed",
]
