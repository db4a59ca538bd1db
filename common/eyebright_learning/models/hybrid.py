"""Hybrid teachers: MobileNetV2 with a vision transformer on its stride-16 map, beside the rest of the convolutions.

* Both branches leave from the same stem, ``features[:14]``; their pooled vectors lie side by side before one linear
  layer. Why both: docs/adr/0011.
* The body has torchvision's key names, so ImageNet's file starts it. The head starts with the convolutional network's
  own weights and zeros for the transformer's part: an untrained hybrid answers exactly as the network it grew from, and
  the transformer comes in as far as it helps.
* Positions are fixed sines and cosines of the map that is there, so one hybrid takes any picture size.
* Its blocks are timm's, with as many tokens as the map has pixels and no class token: features line up with a student's
  stride-16 tap.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from timm.layers.pos_embed_sincos import build_sincos2d_pos_embed
from timm.models.vision_transformer import Block, init_weights_vit_timm
from torch import Tensor, nn
from torch.nn import functional as F

from eyebright_common.errors import InputError
from eyebright_learning.models.identity import TeacherIdentity
from eyebright_learning.models.student import SequentialStudent, build_student
from eyebright_learning.models.teacher import Start, Teacher


class _Size(NamedTuple):
    width: int
    depth: int
    heads: int


_SIZES = {
    "hybrid_mobilenet_v2_tiny": _Size(width=192, depth=4, heads=3),
    "hybrid_mobilenet_v2_small": _Size(width=384, depth=6, heads=6),
}

HYBRIDS: tuple[str, ...] = tuple(_SIZES)

_BODY = "mobilenet_v2"
_BODY_CHANNELS = 1280
_STEM_CHANNELS = 96


class HybridNetwork(nn.Module):
    """Two branches on one stem; see the module docstring.

    Attributes:
        num_prefix_tokens: 0: every token is a pixel of the stem's map.
    """

    num_prefix_tokens = 0

    def __init__(self, body: SequentialStudent, *, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.normalise, self.features, self.stem_blocks = body.normalise, body.features, body.tap_index + 1
        self.project = nn.Conv2d(_STEM_CHANNELS, width, 1)
        self.blocks = nn.Sequential(*(Block(width, heads, qkv_bias=True) for _ in range(depth)))
        self.blocks.apply(init_weights_vit_timm)
        self.norm = nn.LayerNorm(width)
        head = nn.Linear(_BODY_CHANNELS + width, body.classes)
        with torch.no_grad():
            head.weight.zero_()
            head.weight[:, :_BODY_CHANNELS] = body.head.weight
            head.bias.copy_(body.head.bias)
        self.classifier = nn.Sequential(body.classifier[0], head)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``[B, C]`` of a batch ``[B, 3, H, W]`` in 0–255."""
        stem = self.features[: self.stem_blocks](self.normalise(x))
        last = self.features[self.stem_blocks :](stem)
        seen = torch.flatten(F.adaptive_avg_pool2d(last, 1), 1)
        attended = self.norm(self.blocks(self.tokens(stem))).mean(1)
        logits: Tensor = self.classifier(torch.cat([seen, attended], dim=1))
        return logits

    def tokens(self, stem: Tensor) -> Tensor:
        """Return the stem's map ``[B, 96, h, w]`` as tokens ``[B, h * w, D]`` that know where they lie."""
        _, _, H, W = stem.shape
        tokens: Tensor = self.project(stem).flatten(2).transpose(1, 2)
        positions: Tensor = build_sincos2d_pos_embed([H, W], dim=tokens.shape[-1], device=stem.device)
        return tokens + positions


def hybrid_teacher(identity: TeacherIdentity, start: Start) -> Teacher:
    """Return a hybrid as a teacher.

    Args:
        identity: Names the hybrid, the classes and the picture size.
        start: Its weights are MobileNetV2's under torchvision's key names: a student of ours, or ImageNet's.

    Raises:
        InputError: the hybrid is unknown, or the weights are not MobileNetV2's.
    """
    name = identity.architecture
    if name not in _SIZES:
        raise InputError("unknown hybrid", value=name, fix=f"Choose one of: {', '.join(HYBRIDS)}.")
    start.refuse_download(name)
    body = build_student(_BODY, classes=identity.classes, seed=start.seed, weights=start.weights)
    assert isinstance(body, SequentialStudent)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(start.seed)
        network = HybridNetwork(body, **_SIZES[name]._asdict())
    return Teacher(network, identity)
