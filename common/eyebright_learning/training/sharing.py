"""A batch among several processes: who computes which part, and how the parts become one step again.

* A part weighs as much as it counts in the loss: by its pictures, or by its class weights where the loss divides by
  their sum. With that the step is the one a single process would have taken, for a network without batch statistics.
* Batch normalisation: on GPUs it is made synchronous, which is exact as well. On the processor each process normalises
  by its own part, and after every epoch all take over the first one's running statistics; losses then differ from those
  of one process.
* Distillation is for one process: relations within a batch do not add up from its parts.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from timm.layers.norm_act import convert_sync_batchnorm
from torch import Tensor, nn

from eyebright_common.errors import InputError
from eyebright_learning.distillation import Recipe
from eyebright_learning.training.batches import Index, batches_per_epoch
from eyebright_learning.training.config import Training
from eyebright_learning.training.parallel import Parallel


class Share:
    """This process's part of every batch of a stretch."""

    def __init__(self, parallel: Parallel, labels: Index, class_weights: Tensor | None) -> None:
        """Take what a part's weight depends on.

        Args:
            parallel: The processes that train together.
            labels: int64 ``[N]``, of all pictures.
            class_weights: float32 ``[C]`` that the loss divides by; None where every picture counts alike.
        """
        self.parallel = parallel
        self._counts = None if class_weights is None else class_weights.double().cpu().numpy()[labels]

    def of(self, whole: Index) -> tuple[Index, float]:
        """Return this process's part of a batch of pictures, and how much it weighs; all weights add up to 1."""
        part = whole[self.parallel.share(len(whole))]
        if self._counts is None:
            return part, self.parallel.weight(len(whole))
        return part, float(self._counts[part].sum() / self._counts[whole].sum())

    def over_all(self, values: Mapping[str, Tensor], weight: float) -> dict[str, float]:
        """Return scalars of this part as those of the whole batch; the same in every process."""
        stacked = torch.stack([value.detach().float() for value in values.values()])
        total: list[float] = self.parallel.weighted_sum(stacked, weight=weight).tolist()
        return dict(zip(values, total, strict=True))

    def same_statistics(self, network: nn.Module) -> None:
        """Give every process the first one's running statistics."""
        self.parallel.broadcast(network)


def check_together(recipe: Recipe, parallel: Parallel, *, images: int, config: Training, keeps: bool) -> None:
    """Refuse what cannot be interrupted or shared.

    Raises:
        InputError: terms on features with a checkpoint, a teacher's targets in several processes, or a batch smaller
            than the number of processes.
    """
    if keeps and recipe.needs_features:
        raise InputError(
            "training: terms on features cannot be interrupted: their discriminator is made for one stretch",
            fix="Leave the checkpoint out, or set pca, gl and adversarial to 0.",
        )
    if parallel.world_size == 1:
        return
    if recipe.needs_teacher or recipe.multi_view:
        raise InputError(
            "training in several processes is for labels alone",
            value=f"{parallel.world_size} processes",
            fix="Distil in one process; the teacher is not in its loop.",
        )
    parallel.share(images // batches_per_epoch(images, config.batch_size))  # the smallest batch must reach everybody


def alike(network: nn.Module, parallel: Parallel) -> None:
    """Give every process the first one's weights, and on GPUs one batch normalisation for all."""
    if parallel.world_size == 1:
        return
    if parallel.device.type == "cuda":
        synchronise(network)
    parallel.broadcast(network)


def synchronise(network: nn.Module) -> None:
    """Make batch normalisation use the statistics of all processes; weights and their names stay.

    timm's conversion, because torch's would take the activation out of timm's fused layers.
    """
    convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]  # in place: the network itself is no such layer
