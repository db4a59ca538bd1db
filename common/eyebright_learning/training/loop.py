"""The loop. Teacher, student and every comparison arm go through ``fit``, so that no arm is better off by its code.

* Pixels become views here, by (digest, view); teacher targets come from the cache for exactly those views.
* The network runs in channels-last memory, under bf16 autocast if asked; the losses see float32.
* Terms on features apply in steps whose view has cached features; only then is the student asked for its map.
* The rate follows the whole schedule; the optimiser's moments start afresh in every stretch, as federated rounds do.
* Which weights learn, and whether their average is kept, changes between epochs: ``phases``.
* With a checkpoint folder, a killed stretch ends with the bits of an undisturbed one: ``resuming``. Under torchrun each
  process computes its share of the same batches: ``sharing``.
* A loss that is not a number stops the run and names the step: its weights are not worth keeping.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from eyebright_common.errors import EyebrightError
from eyebright_learning.data import PreparedImages
from eyebright_learning.distillation import Recipe, multi_view
from eyebright_learning.models import Student
from eyebright_learning.models.features import FeatureTargets
from eyebright_learning.teacher_cache import TeacherCache
from eyebright_learning.training.batches import Index, batches_per_epoch, epoch_order, split_batches
from eyebright_learning.training.checkpoint import stretch_key
from eyebright_learning.training.config import Training
from eyebright_learning.training.determinism import own_randomness
from eyebright_learning.training.objective import build_distiller, check_stretch
from eyebright_learning.training.optimiser import build_optimiser, set_rate
from eyebright_learning.training.parallel import Parallel
from eyebright_learning.training.phases import Phases
from eyebright_learning.training.records import EpochRecord, OnEpoch, TrainingResult
from eyebright_learning.training.resuming import Resuming
from eyebright_learning.training.schedule import rate_at
from eyebright_learning.training.sharing import Share, alike, check_together
from eyebright_learning.views import augment


def fit(
    network: nn.Module,
    images: PreparedImages,
    *,
    classes: int,
    recipe: Recipe,
    config: Training,
    cache: TeacherCache | None = None,
    on_epoch: OnEpoch | None = None,
    checkpoint: Path | None = None,
    parallel: Parallel | None = None,
) -> TrainingResult:
    """Train ``network`` in place and leave it in evaluation mode.

    Args:
        network: Takes ``[B, 3, S, S]`` in 0–255, gives logits ``[B, classes]``.
        images: What to learn from.
        classes: Number of logits.
        recipe: The losses.
        config: The stretch of training.
        cache: Teacher targets of ``images``; needed when the recipe has a distillation term, with features when it has
            a term on features.
        on_epoch: Called after each epoch, when it is safe on disk.
        checkpoint: A folder where every epoch is kept, and from which a killed stretch is continued; all processes
            must see the same one.
        parallel: The processes that train together; this one alone by default.

    Raises:
        InputError: there are fewer than two pictures, a label is outside the classes, the recipe lacks its teacher or
            the teacher's features, the cache is of other pictures, features are asked of a network without a tap, the
            network cannot be divided as ``config`` asks, the folder holds another training, or this recipe cannot be
            interrupted or shared.
        EyebrightError: the loss became something that is not a number.
    """
    check_stretch(images, classes=classes, recipe=recipe, cache=cache, config=config)
    together = parallel or Parallel()
    check_together(recipe, together, images=len(images), config=config, keeps=checkpoint is not None)
    alike(network, together)
    key = ""
    if checkpoint is not None:
        key = stretch_key(network, images, classes=classes, recipe=recipe, config=config, cache=cache)
    with own_randomness(_stretch_seed(config), config.threads):
        return _Fit(network, images, classes, recipe, config, cache, together, checkpoint, key).run(on_epoch)


class _Fit:
    """The state of one call of ``fit``."""

    def __init__(
        self,
        network: nn.Module,
        images: PreparedImages,
        classes: int,
        recipe: Recipe,
        config: Training,
        cache: TeacherCache | None,
        parallel: Parallel,
        checkpoint: Path | None,
        key: str,
    ) -> None:
        self.network = network.to(memory_format=torch.channels_last)
        self.images, self.recipe, self.config = images, recipe, config
        self.cache = cache if recipe.needs_teacher else None
        self.device = next(network.parameters()).device
        self.distiller = build_distiller(recipe, network, images, classes=classes, config=config, cache=cache)
        self.optimiser = build_optimiser(network, config, projectors=self.distiller.projector_parameters())
        self.phases = Phases(network, config)
        self.steps_per_epoch = batches_per_epoch(len(images), config.batch_size)
        self.start = [p.detach().clone() for p in network.parameters()] if config.proximal_mu else []
        self.share = Share(parallel, images.labels, self.distiller.class_weights)
        self.parallel = parallel
        self.resuming = Resuming(
            checkpoint,
            key=key,
            network=network,
            optimiser=self.optimiser,
            average=self.phases.average,
            parallel=parallel,
        )

    def run(self, on_epoch: OnEpoch | None) -> TrainingResult:
        """Go through all epochs of this stretch, or through those that are left."""
        history = self.resuming.resume()
        try:
            for local in range(len(history), self.config.epochs):
                history = (*history, self._whole_epoch(local))
                self.resuming.keep(history)
                if on_epoch is not None:
                    on_epoch(history[-1])
            if not self.resuming.finished:
                self.phases.settle(self._views_of(self.config.first_epoch + self.config.epochs - 1))
        finally:
            self.phases.thaw()
        self.network.eval()
        self.resuming.finish(history)
        return TrainingResult(
            history=history,
            steps=self.steps_per_epoch * self.config.epochs,
            examples=len(self.images) * self.config.epochs,
        )

    def _whole_epoch(self, local: int) -> EpochRecord:
        epoch = self.config.first_epoch + local
        self.resuming.begin(epoch, seed=self.config.seed)
        self.phases.begin(epoch)
        losses, rate = self._epoch(epoch, self._batches(epoch))
        self.share.same_statistics(self.network)
        self.phases.end(epoch)
        return EpochRecord(epoch=local + 1, epochs=self.config.epochs, losses=losses, learning_rate=rate)

    def _batches(self, epoch: int) -> list[Index]:
        order = epoch_order(
            self.images.labels, seed=self.config.seed, epoch=epoch, balanced=self.config.balance == "sampling"
        )
        return split_batches(order, self.config.batch_size)

    def _views_of(self, epoch: int) -> Iterator[Tensor]:
        """Yield what the network saw in ``epoch``, batch by batch ``[B, 3, S, S]``."""
        for index in self._batches(epoch):
            yield self._batch(index, epoch % self.config.views)

    def _epoch(self, epoch: int, batches: list[Index]) -> tuple[dict[str, float], float]:
        sums: dict[str, float] = {}
        rate = 0.0
        for number, index in enumerate(batches):
            step = epoch * self.steps_per_epoch + number
            rate = self._set_rate(step)
            for name, value in self._step(step, index, epoch % self.config.views).items():
                sums[name] = sums.get(name, 0.0) + value * len(index)
        seen = sum(len(index) for index in batches)
        return {name: value / seen for name, value in sums.items()}, rate

    def _step(self, step: int, whole: Index, view: int) -> dict[str, float]:
        index, weight = self.share.of(whole)
        batch = self._batch(index, view)
        labels = torch.from_numpy(self.images.labels[index]).to(self.device)
        targets = None if self.cache is None else torch.from_numpy(self.cache.targets(index, view)).to(self.device)
        features = self._features(index, view)
        self.optimiser.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.config.precision == "bf16"):
            logits, tap = self._look(batch, with_tap=features is not None)
        total, parts = self.distiller.loss(logits.float(), labels, targets=targets, tap=tap, features=features)
        values = self.share.over_all({"total": total, **parts}, weight)
        if not math.isfinite(values["total"]):
            raise EyebrightError(
                f"training: the loss is {values['total']} at step {step + 1}",
                value=", ".join(f"{name}={values[name]:.4g}" for name in parts),
                fix="Lower the learning rate, or look for pictures or teacher targets that are damaged.",
            )
        total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.parallel.average_gradients(self.network.parameters(), weight=weight)
        self._hold_back()
        self.optimiser.step()
        return values

    def _batch(self, index: Index, view: int) -> Tensor:
        digests = [self.images.digests[i] for i in index]
        pixels, family = self.images.pixels[index], self.config.view_family
        batch = augment(pixels, digests, view, modality=self.config.modality, family=family).to(self.device)
        return multi_view(batch, probability=self.recipe.multi_view) if self.recipe.multi_view else batch

    def _features(self, index: Index, view: int) -> FeatureTargets | None:
        """Return the teacher's features of these views; None where no term asks for them or none are cached."""
        found = self.cache.features(index, view) if self.cache is not None and self.recipe.needs_features else None
        if found is None:
            return None
        tokens, query, key, value = (tensor.to(self.device) for tensor in found[:4])
        return FeatureTargets(tokens, query, key, value, found.scale)

    def _look(self, batch: Tensor, *, with_tap: bool) -> tuple[Tensor, Tensor | None]:
        if not with_tap:
            return self.network(batch), None
        assert isinstance(self.network, Student), "build_distiller refuses features for anything else"
        output = self.network.forward_all(batch)
        return output.logits, output.tap

    def _hold_back(self) -> None:
        """Add the proximal pull (FedProx, arXiv 1812.06127: mu (w - w_0)), then clip."""
        for parameter, origin in zip(self.network.parameters(), self.start, strict=False):
            if parameter.grad is not None:
                parameter.grad.add_(parameter.detach() - origin, alpha=self.config.proximal_mu)
        if self.config.clip_norm:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip_norm)

    def _set_rate(self, step: int) -> float:
        rate = rate_at(
            step,
            steps=self.steps_per_epoch * self.config.schedule_epochs,
            peak=self.config.learning_rate,
            warmup=self.config.warmup,
            final=self.config.final_rate,
            averaging_from=self.steps_per_epoch * self.config.averaging_epoch if self.config.averages else None,
            averaging=self.config.averaging_rate,
        )
        set_rate(self.optimiser, rate)
        return rate


def _stretch_seed(config: Training) -> int:
    """Return a seed that differs between stretches, so that dropout does not repeat itself every round."""
    return int(np.random.SeedSequence([config.seed, config.first_epoch]).generate_state(1)[0])
