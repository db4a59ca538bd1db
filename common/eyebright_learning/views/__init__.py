"""A view of a picture is ``(picture digest, view number)``; all its randomness comes from there."""

from eyebright_learning.views.augment import AUGMENTATION_ID, augment, plain
from eyebright_learning.views.draws import view_seed

__all__ = ["AUGMENTATION_ID", "augment", "plain", "view_seed"]
