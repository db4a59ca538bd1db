"""The run: I-JEPA over unlabelled pictures, watched, resumable, in one process or many.

* Nothing looks at the labels of ``images``. ``probe`` is a held-out set for the monitor; where it has labels (0 and up)
  the neighbour probe reads them, and learning still does not.
* The result is the target encoder, the slow one. It is also the one that is watched.
* Under ``torchrun`` each process computes its share of the same global batch, with masks drawn for the whole batch; no
  batch statistics are involved, so the losses are those of one process up to the order of sums. Each process watches
  for itself, on the same pictures with the same weights, so all of them come to the same verdict.
* The same seed gives the same bits on one machine with one number of threads and processes, interrupted or not.
* Collapse does not stop a run (the rank often dips before it recovers), but the result says so, with the reason.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from eyebright_common.errors import EyebrightError, InputError
from eyebright_learning.data import PreparedImages
from eyebright_learning.pretraining.config import PretrainingConfig
from eyebright_learning.pretraining.crops import crop_views
from eyebright_learning.pretraining.encoder import Encoder, EncoderConfig, build_encoder
from eyebright_learning.pretraining.loss import follow, jepa_loss, normalised_targets
from eyebright_learning.pretraining.masks import Masks, sample_masks
from eyebright_learning.pretraining.monitor import collapse_reason, feature_deviation, neighbour_probe, rank_me
from eyebright_learning.pretraining.optimiser import build_optimiser, load_moments, moments, set_step
from eyebright_learning.pretraining.predictor import Predictor
from eyebright_learning.pretraining.progress import PretrainingEpoch, read_progress, run_key, save_progress
from eyebright_learning.pretraining.schedules import learning_rate_at, momentum_at, weight_decay_at
from eyebright_learning.training.batches import Index, batches_per_epoch, epoch_order, split_batches
from eyebright_learning.training.determinism import own_randomness
from eyebright_learning.training.parallel import Parallel

OnPretrainingEpoch = Callable[[PretrainingEpoch], None]

_MOST_WATCHED = 512
_HELD_OUT_VIEW = -1  # training shows views 0, 1, 2 …
_WHOLE = (1.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainingResult:
    """What a pre-training did.

    Attributes:
        encoder: The target encoder, in evaluation mode.
        history: One entry per epoch, those before an interruption included.
    """

    encoder: Encoder
    history: tuple[PretrainingEpoch, ...]

    @property
    def collapsed(self) -> str | None:
        """Why the encoder is of no use; None when the monitor found nothing wrong at the end."""
        return self.history[-1].collapsed


def pretrain(
    encoder: EncoderConfig,
    images: PreparedImages,
    *,
    config: PretrainingConfig,
    probe: PreparedImages | None = None,
    parallel: Parallel | None = None,
    checkpoint_dir: Path | None = None,
    on_epoch: OnPretrainingEpoch | None = None,
) -> PretrainingResult:
    """Pre-train an encoder; continue where ``checkpoint_dir`` stands.

    Args:
        encoder: Which network.
        images: What to learn from, of any size; labels are not looked at.
        config: How.
        probe: Held-out pictures to watch the encoder on, labelled or not; by default views of ``images`` that are not
            trained on.
        parallel: The processes that train together; this one alone by default.
        checkpoint_dir: Where every epoch is kept; all processes must see the same folder.
        on_epoch: Called in every process after each epoch, when it is safe on disk.

    Raises:
        InputError: pictures, masks and networks do not fit together, or the folder holds another run.
        EyebrightError: the loss became something that is not a number.
    """
    together = parallel or Parallel()
    if len(images) < 2 or (probe is not None and len(probe) < 2):
        raise InputError("pre-training needs at least two pictures", value=len(images))
    with own_randomness(config.seed, config.threads):
        run = _Pretraining(encoder, images, config, probe, together)
        return run.run(checkpoint_dir, run_key(encoder, config, images, probe), on_epoch)


class _Pretraining:
    """The state of one call of ``pretrain``."""

    def __init__(
        self,
        encoder: EncoderConfig,
        images: PreparedImages,
        config: PretrainingConfig,
        probe: PreparedImages | None,
        parallel: Parallel,
    ) -> None:
        self.images, self.config, self.parallel = images, config, parallel
        self.image_size = encoder.image_size
        self.batches = batches_per_epoch(len(images), config.batch_size)
        parallel.share(len(images) // self.batches)  # the smallest batch must reach every process
        self.encoder = build_encoder(encoder)
        config.masks.check(self.encoder.grid)
        self.predictor = Predictor(
            encoder_width=self.encoder.width,
            grid=self.encoder.grid,
            width=config.predictor_width,
            depth=config.predictor_depth,
            heads=self.encoder.heads,
        )
        self.learners = nn.ModuleDict({"encoder": self.encoder, "predictor": self.predictor}).to(parallel.device)
        parallel.broadcast(self.learners)
        self.target = copy.deepcopy(self.encoder).requires_grad_(False).eval()
        self.optimiser = build_optimiser(self.learners)
        self.watched = probe or images.subset(np.arange(min(len(images), _MOST_WATCHED)))
        self.labelled = probe is not None and bool((probe.labels >= 0).all())
        self.history: tuple[PretrainingEpoch, ...] = ()

    def run(self, folder: Path | None, key: str, on_epoch: OnPretrainingEpoch | None) -> PretrainingResult:
        found = None if folder is None else read_progress(folder, key=key)
        if found is not None:
            self.history, state = found
            self._load(state)
        self.parallel.agree(len(self.history), what="the epochs that are done")
        for epoch in range(len(self.history), self.config.epochs):
            record = self._epoch(epoch)
            self.history = (*self.history, record)
            if folder is not None and self.parallel.is_first:
                save_progress(folder, key=key, history=self.history, state=self._state())
            self.parallel.wait()
            if on_epoch is not None:
                on_epoch(record)
        return PretrainingResult(encoder=self.target, history=self.history)

    def _epoch(self, epoch: int) -> PretrainingEpoch:
        self.learners.train()
        order = epoch_order(self.images.labels, seed=self.config.seed, epoch=epoch, balanced=False)
        total, values = 0.0, dict[str, float]()
        for number, index in enumerate(split_batches(order, self.config.batch_size)):
            loss, values = self._step(index, epoch, number)
            total += loss * len(index)
        self.learners.eval()
        return self._watch(epoch, total / len(self.images), values)

    def _step(self, index: Index, epoch: int, number: int) -> tuple[float, dict[str, float]]:
        generator = np.random.Generator(np.random.PCG64([self.config.seed, epoch, number]))
        masks = sample_masks(self.config.masks, grid=self.encoder.grid, count=len(index), generator=generator)
        part, weight = self.parallel.share(len(index)), self.parallel.weight(len(index))
        views = self._views(self.images, index[part], view=epoch, scale=self.config.crop_scale)
        values = self._schedule(epoch * self.batches + number)
        self.optimiser.zero_grad(set_to_none=True)
        loss = self._loss(views, masks, part)
        value = float(self.parallel.weighted_sum(loss, weight=weight))
        if not math.isfinite(value):
            raise EyebrightError(
                f"pre-training: the loss is {value} in epoch {epoch + 1}, batch {number + 1}",
                fix="Lower the learning rate, or use fp32.",
            )
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.parallel.average_gradients(self.learners.parameters(), weight=weight)
        self.optimiser.step()
        follow(self.target, self.encoder, momentum=values["momentum"])
        return value, values

    def _loss(self, views: Tensor, masks: Masks, part: slice) -> Tensor:
        """Return L of these views with their part of the batch's masks."""
        context = torch.from_numpy(masks.context[part]).to(views.device)
        targets = torch.from_numpy(masks.targets[part]).to(views.device)
        with torch.autocast(views.device.type, dtype=torch.bfloat16, enabled=self.config.precision == "bf16"):
            with torch.no_grad():
                tokens = self.target(views)
            predicted = self.predictor(self.encoder(views, context), context, targets)
        return jepa_loss(predicted, normalised_targets(tokens, targets))

    def _schedule(self, step: int) -> dict[str, float]:
        """Set the optimiser to this step's values and return them."""
        config, steps = self.config, self.batches * self.config.epochs
        rate = learning_rate_at(
            step,
            steps=steps,
            warmup_steps=round(config.warmup * steps),
            start=config.start_rate,
            peak=config.learning_rate,
            final=config.final_rate,
        )
        decay = weight_decay_at(step, steps=steps, start=config.weight_decay, final=config.final_weight_decay)
        set_step(self.optimiser, learning_rate=rate, weight_decay=decay)
        momentum = momentum_at(step, steps=steps, start=config.momentum)
        return {"learning_rate": rate, "weight_decay": decay, "momentum": momentum}

    @torch.no_grad()
    def _watch(self, epoch: int, loss: float, values: dict[str, float]) -> PretrainingEpoch:
        features, held_out = self._look()
        config, watched = self.config, self.watched
        rank, deviation = rank_me(features), feature_deviation(features)
        probe = None
        if self.labelled:
            probe = neighbour_probe(features, watched.labels, watched.groups, neighbours=config.neighbours)
        return PretrainingEpoch(
            epoch=epoch + 1,
            epochs=config.epochs,
            loss=loss,
            held_out_loss=held_out,
            rank=rank,
            deviation=deviation,
            probe=probe,
            collapsed=collapse_reason(
                rank=rank, deviation=deviation, rank_floor=config.rank_floor, deviation_floor=config.deviation_floor
            ),
            **values,
        )

    def _look(self) -> tuple[npt.NDArray[np.float32], float]:
        """Return the watched pictures' mean tokens ``[N, D]`` and their loss on views and masks that never change."""
        generator = np.random.Generator(np.random.PCG64(self.config.seed))
        features, losses = [], 0.0
        for index in split_batches(np.arange(len(self.watched)), self.config.batch_size):
            whole = self._views(self.watched, index, view=_HELD_OUT_VIEW, scale=_WHOLE)
            views = self._views(self.watched, index, view=_HELD_OUT_VIEW, scale=self.config.crop_scale)
            masks = sample_masks(self.config.masks, grid=self.encoder.grid, count=len(index), generator=generator)
            features.append(self.target.pooled(whole).cpu().numpy())
            losses += float(self._loss(views, masks, slice(None))) * len(index)
        return np.concatenate(features), losses / len(self.watched)

    def _views(self, images: PreparedImages, index: Index, *, view: int, scale: tuple[float, float]) -> Tensor:
        digests = [images.digests[i] for i in index]
        seen = crop_views(
            images.pixels[index], digests, view=view, seed=self.config.seed, image_size=self.image_size, scale=scale
        )
        return seen.to(self.parallel.device)

    def _state(self) -> dict[str, Tensor]:
        networks = {"learners": self.learners, "target": self.target}
        weights = {f"{of}.{name}": tensor for of, network in networks.items() for name, tensor in _named(network)}
        return {**weights, **moments(self.optimiser, self.learners)}

    def _load(self, state: dict[str, Tensor]) -> None:
        for of, network in (("learners", self.learners), ("target", self.target)):
            network.load_state_dict({name: state[f"{of}.{name}"] for name, _ in _named(network)})
        load_moments(self.optimiser, self.learners, state)


def _named(network: nn.Module) -> Iterable[tuple[str, Tensor]]:
    return network.state_dict().items()
