"""One loss per file, the recipe that weighs them, and the distiller that applies it to batches."""

from eyebright_learning.distillation.adversarial import Adversary
from eyebright_learning.distillation.cross_entropy import cross_entropy
from eyebright_learning.distillation.dist import dist
from eyebright_learning.distillation.distiller import Distiller
from eyebright_learning.distillation.dkd import dkd
from eyebright_learning.distillation.focal import focal
from eyebright_learning.distillation.group_linear import GroupLinear, group_linear
from eyebright_learning.distillation.kd import kd
from eyebright_learning.distillation.multi_view import multi_view
from eyebright_learning.distillation.partially_cross_attention import PartiallyCrossAttention
from eyebright_learning.distillation.recipe import Recipe

__all__ = [
    "Adversary",
    "Distiller",
    "GroupLinear",
    "PartiallyCrossAttention",
    "Recipe",
    "cross_entropy",
    "dist",
    "dkd",
    "focal",
    "group_linear",
    "kd",
    "multi_view",
]
