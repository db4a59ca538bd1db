"""The two published recipes, as far as the teacher is concerned.

| | fundus-vit | oct-convnext |
|---|---|---|
| network | ViT-Base, patch 16 | ConvNeXtV2-Large |
| loss | cross-entropy | focal, gamma 2 |
| balance | every class is shown equally often | class weights in the loss |
| views | mild | RandAugment's, for teachers |
| from an encoder of ``pretrain`` | layer-wise rates, 0.75 per layer | - |
| from given weights | gentler rate | backbone frozen at first, then at a fifth of the head's rate |
| last third of the passes | - | weights averaged |
| from given weights, in timm's networks | - | dropout and stochastic depth, 0.3 each |
| warm-up, floor of the rate | a tenth of the passes, 1 % | a fifteenth, 0.1 % |

* A frozen backbone and rates of its own make sense for a body that knows something: from random weights they are off.
* A short training has no room for a frozen start or an average; ``training`` leaves them out rather than refuse it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from eyebright_common.tasks import ScreeningTask
from eyebright_learning.models import Teacher
from eyebright_learning.models.timm_teacher import regularise
from eyebright_learning.training import TeacherTraining
from eyebright_learning.training.config import Balance, Precision
from eyebright_learning.views import AUGMENTATION_ID, STRONG_TEACHER
from eyebright_server.student_recipes import chosen

Start = Literal["random", "weights", "pretrained", "pretraining"]
_LONG_ENOUGH = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherRecipe:
    """What a recipe fixes about its teacher.

    Attributes:
        name: As written on the command line.
        focal: Gamma of the focal loss; 0 is plain cross-entropy.
        balance: How rare classes are made up for.
        view_family: How strong the views are.
        rate: Peak rate from random weights.
        rate_from_weights: Peak rate from given weights.
        backbone_part: From given weights, the body's rate as a part of the head's; 1 is off.
        frozen_part: From given weights, part of the passes that the head learns alone.
        warmup: Part of the schedule over which the rate rises.
        final_rate: Rate at the end, as a part of the peak.
        layer_decay: From a pre-trained encoder, the rate of a layer as a part of the next one's.
        averaging_start: Part of the schedule after which weights are averaged; 1 is off.
        drop: From given weights, probability of dropout and, in the last block, of leaving a branch out.
        teacher: The published network, by timm's name.
        smoke_teacher: A tiny network of the same family.
    """

    name: str
    focal: float = 0.0
    balance: Balance = "sampling"
    view_family: str = AUGMENTATION_ID
    rate: float = 1e-3
    rate_from_weights: float = 5e-4
    backbone_part: float = 1.0
    frozen_part: float = 0.0
    warmup: float = 0.1
    final_rate: float = 0.01
    layer_decay: float = 1.0
    averaging_start: float = 1.0
    drop: float = 0.0
    teacher: str
    smoke_teacher: str

    def training(
        self,
        *,
        start: Start,
        epochs: int,
        batch_size: int,
        modality: str,
        precision: Precision = "fp32",
        learning_rate: float | None = None,
        layer_decay: float | None = None,
        seed: int = 0,
        threads: int | None = None,
    ) -> TeacherTraining:
        """Return how a teacher is trained.

        Args:
            start: What it starts from.
            epochs: Passes over the pictures, of each member of an ensemble.
            batch_size: Over all processes.
            modality: What the views find plausible.
            precision: Of the network.
            learning_rate: Peak; None is the recipe's.
            layer_decay: None is the recipe's.
            seed: Of order, views and dropout.
            threads: Processor threads.

        Raises:
            InputError: the configuration means nothing; the message names the knob.
        """
        usual = self.rate if start == "random" else self.rate_from_weights
        config = TeacherTraining(
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=usual if learning_rate is None else learning_rate,
            warmup=self.warmup,
            final_rate=self.final_rate,
            balance=self.balance,
            modality=modality,
            view_family=self.view_family,
            precision=precision,
            seed=seed,
            threads=threads,
        )
        if layer_decay is not None or start == "pretraining":
            config = replace(config, layer_decay=self.layer_decay if layer_decay is None else layer_decay)
        elif start != "random" and self.backbone_part < 1.0:
            config = replace(
                config,
                backbone_learning_rate=self.backbone_part * config.learning_rate,
                frozen_epochs=max(1, round(self.frozen_part * epochs)) if epochs >= _LONG_ENOUGH else 0,
            )
        return replace(config, averaging_start=self.averaging_start) if epochs >= _LONG_ENOUGH else config

    def regularise(self, teacher: Teacher, *, start: Start) -> None:
        """Give an untrained teacher the recipe's dropout and stochastic depth, where it has some.

        A network that begins with nothing to forget is left alone, and so are students' architectures, hybrids and
        ensembles, which have their own.

        Args:
            teacher: What is about to be trained.
            start: What it starts from.

        Raises:
            InputError: the network has no places for them.
        """
        if self.drop and start in ("weights", "pretrained") and teacher.identity.kind == "timm":
            regularise(teacher, drop=self.drop, drop_path=self.drop)


RECIPES: dict[str, TeacherRecipe] = {
    recipe.name: recipe
    for recipe in (
        TeacherRecipe(name="fundus-vit", layer_decay=0.75, teacher="vit_base_patch16_224", smoke_teacher="test_vit"),
        TeacherRecipe(
            name="oct-convnext",
            focal=2.0,
            balance="loss",
            view_family=STRONG_TEACHER,
            rate=2e-3,
            rate_from_weights=1e-4,
            backbone_part=0.2,
            frozen_part=5 / 150,
            warmup=10 / 150,
            final_rate=1e-3,
            averaging_start=2 / 3,
            drop=0.3,
            teacher="convnextv2_large",
            smoke_teacher="test_convnext2",
        ),
    )
}


def get_recipe(name: str | None, *, modality: str) -> TeacherRecipe:
    """Return the recipe of that name; without a name, the one for this kind of pictures.

    Raises:
        InputError: no recipe has that name.
    """
    return chosen(RECIPES, name, modality=modality)


def start_of(weights: object) -> Start:
    """Return what a teacher starts from, whose weights are given or None."""
    return "random" if weights is None else "weights"


def default_teacher(recipe: TeacherRecipe | None, task: ScreeningTask) -> str:
    """Return the network when none is named: a recipe's published one; without a recipe, the task's small one."""
    return task.teacher if recipe is None else recipe.teacher
