"""The network that is pre-trained: a timm vision transformer that can look at a part of the patches.

* No class token and no learned positions: patches plus fixed sine-cosine positions, the blocks, the final norm.
* A patch that is not kept is dropped before the first block, so a context costs what it shows.
* Any picture size that the patch divides; positions are told in the units of the grid of ``EncoderConfig.image_size``.
* Pixels come as 0–255 and are normalised inside, as the teacher of the same name does.

How a teacher starts from it. ``teacher_state`` gives the weights under timm's key names, positions included, for the
same architecture with mean-pooled tokens; only the head is missing. ``save_encoder`` writes them as a safetensors file,
and ``build_teacher(name, weights=…)`` makes a mean-pooled teacher of it: nothing has taught a class token.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import timm
import torch
from safetensors.torch import save
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from eyebright_common.durable import write_bytes
from eyebright_common.errors import InputError
from eyebright_learning.models.normalise import Normalise
from eyebright_learning.models.timm_teacher import MEAN_POOLED
from eyebright_learning.pretraining.positions import sine_cosine_positions


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig:
    """Which encoder.

    Attributes:
        architecture: A plain vision transformer's timm name, e.g. ``vit_small_patch16_224``.
        image_size: Side of the views in pixels.
        patch_size: Side of a patch in pixels; None for the architecture's own.
        seed: Of the random initialisation.
    """

    architecture: str
    image_size: int
    patch_size: int | None = None
    seed: int = 0


class Encoder(nn.Module):
    """Patches to tokens.

    Attributes:
        patch_size: Side of a patch in pixels.
        grid: Patches per side at the configured picture size.
        width: D, length of a token.
        heads: Attention heads of a block.
    """

    def __init__(self, body: VisionTransformer, image_size: int) -> None:
        super().__init__()
        settings = cast("dict[str, Any]", body.pretrained_cfg)
        self.normalise = Normalise(settings["mean"], settings["std"])
        self.body = body
        self.patch_size = int(body.patch_embed.patch_size[0])
        self.grid = image_size // self.patch_size
        self.width = int(body.embed_dim)
        self.heads = int(cast("Any", body.blocks[0]).attn.num_heads)

    def forward(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """Return tokens ``[B, n, D]``, layer-normalised by the encoder's own final norm.

        Args:
            x: Pictures ``[B, 3, S, S]`` in 0–255.
            keep: int64 ``[B, n]``, the patches to look at; all of them by default.

        Raises:
            InputError: the patch does not divide the picture.
        """
        side = x.shape[-1]
        if side % self.patch_size:
            raise InputError("the patch does not divide the picture", value=f"{side} px, patch {self.patch_size}")
        patches: Tensor = self.body.patch_embed.proj(self.normalise(x)).flatten(2).transpose(1, 2)
        # Positions stay float32: under autocast that keeps the residual stream float32 too.
        tokens = patches + self.positions(side).to(x.device)
        if keep is not None:
            tokens = gather_tokens(tokens, keep)
        encoded: Tensor = self.body.norm(self.body.blocks(self.body.norm_pre(tokens)))
        return encoded

    def positions(self, image_size: int) -> Tensor:
        """Return the positions for pictures of this side, ``[n, D]``."""
        return sine_cosine_positions(image_size // self.patch_size, self.width, reference=self.grid)

    def pooled(self, x: Tensor) -> Tensor:
        """Return the mean token of each picture, float32 ``[B, D]``: what a mean-pooled teacher's head sees."""
        tokens: Tensor = self(x)
        return tokens.float().mean(dim=1)


def build_encoder(config: EncoderConfig) -> Encoder:
    """Return a randomly initialised encoder.

    Raises:
        InputError: timm knows no plain vision transformer of that name, or the patch does not divide the picture.
    """
    name = config.architecture
    if not (timm.is_model(name) and timm.models.is_model_in_modules(name, ["vision_transformer"])):
        raise InputError(
            "pre-training needs a plain vision transformer", value=name, fix="Give e.g. vit_small_patch16_224."
        )
    options: dict[str, Any] = {"img_size": config.image_size, "num_classes": 0, "dynamic_img_size": False}
    if config.patch_size is not None:
        options["patch_size"] = config.patch_size
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        body = timm.create_model(name, pretrained=False, pos_embed="none", **options, **MEAN_POOLED)
    if not isinstance(body, VisionTransformer) or body.num_prefix_tokens or isinstance(body.norm, nn.Identity):
        raise InputError("pre-training needs a plain vision transformer", value=name, fix="Without register tokens.")
    encoder = Encoder(body, config.image_size)
    if config.image_size % encoder.patch_size:
        raise InputError(
            "the patch does not divide the picture", value=f"{config.image_size} px, patch {encoder.patch_size}"
        )
    return encoder


def gather_tokens(tokens: Tensor, index: Tensor) -> Tensor:
    """Return ``tokens[b, index[b, i]]``: ``[B, N, D]`` and int64 ``[B, n]`` give ``[B, n, D]``."""
    return tokens.gather(1, index.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))


def teacher_state(encoder: Encoder, *, image_size: int | None = None) -> dict[str, Tensor]:
    """Return the weights under timm's key names for a mean-pooled teacher; everything but its head.

    Args:
        encoder: The pre-trained encoder.
        image_size: Side of the teacher's pictures; the encoder's by default. Positions are computed for it, not
            resampled.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in encoder.body.state_dict().items()}
    side = encoder.grid * encoder.patch_size if image_size is None else image_size
    return {**state, "pos_embed": encoder.positions(side).unsqueeze(0).clone()}


def save_encoder(encoder: Encoder, path: Path, *, image_size: int | None = None) -> None:
    """Write ``teacher_state`` to a safetensors file, durably."""
    write_bytes(path, save(teacher_state(encoder, image_size=image_size)))
