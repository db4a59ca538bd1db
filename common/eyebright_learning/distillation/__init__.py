"""One loss per file, and the recipe that adds them up."""

from eyebright_learning.distillation.cross_entropy import cross_entropy
from eyebright_learning.distillation.dist import dist
from eyebright_learning.distillation.kd import kd
from eyebright_learning.distillation.recipe import Recipe

__all__ = ["Recipe", "cross_entropy", "dist", "kd"]
