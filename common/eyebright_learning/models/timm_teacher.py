"""Teachers that timm builds: any of its classifiers, by its name there.

* A vision transformer is built for the picture size in use. A ``_r_s16_p8`` one keeps its published patch down to 3 x 3
  tokens (96 px) and takes a finer one only below. Measured on synthetic fundus pictures at 96 px with equal processor
  time: 24 passes with 3 x 3 tokens reach 0.88 balanced accuracy where 10 passes with 6 x 6 reach 0.77; the stem sees
  the detail.
* A vision transformer starts from an encoder without class token (I-JEPA's) by averaging its tokens: ``MEAN_POOLED``.
* Downloading is never tried unless ``pretrained`` asks for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import timm
import torch
from safetensors import SafetensorError, safe_open
from timm.layers.drop import DropPath
from torch import nn

from eyebright_common.errors import InputError
from eyebright_learning.models.identity import TeacherIdentity
from eyebright_learning.models.teacher import Start, Teacher
from eyebright_learning.models.weights import read_weights

MEAN_POOLED: Final[dict[str, Any]] = {"class_token": False, "global_pool": "avg", "fc_norm": False}
"""The options that make a timm vision transformer average its tokens."""
_CLASS_TOKEN = "cls_token"
_MIN_TOKENS_PER_SIDE = 3
_STEM_STRIDE = 4
_HEAD_DROPS = ("head.drop", "head_drop")
_BRANCH_DROPS = ("drop_path", "drop_path1", "drop_path2")


def timm_teacher(identity: TeacherIdentity, start: Start) -> Teacher:
    """Return a timm classifier as a teacher.

    Args:
        identity: Names the architecture, the classes and the picture size.
        start: Its weights are a checkpoint under timm's key names, whose positions are resampled to the picture size
            and whose head is left out when it has other classes.

    Raises:
        InputError: the picture size does not suit the architecture, or the weights cannot be had.
    """
    options = _size_options(identity.architecture, identity.image_size)
    if identity.pooling == "mean":
        options |= MEAN_POOLED
    if start.weights is not None:
        read_weights(start.weights)  # says clearly what is wrong with the file before timm meets it
        options["pretrained_cfg_overlay"] = {"file": str(start.weights)}
    load = start.pretrained or start.weights is not None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(start.seed)
        network = _create(identity.architecture, classes=identity.classes, load=load, options=options)
    return Teacher(network, identity)


def regularise(teacher: Teacher, *, drop: float, drop_path: float) -> None:
    """Make a teacher of timm's drop features before its head and, deeper blocks more often, whole branches.

    It concerns training alone: neither has weights, so the teacher's file and identity stay as they are.

    Args:
        teacher: A ConvNeXt or a vision transformer.
        drop: Probability before the head.
        drop_path: Probability in the last block; it rises from 0 in the first, as in timm.

    Raises:
        InputError: the network has no such places.
    """
    network = teacher.network
    heads = [module for name, module in network.named_modules() if name in _HEAD_DROPS]
    blocks = [module for module in network.modules() if any(hasattr(module, name) for name in _BRANCH_DROPS)]
    if not heads or not blocks:
        raise InputError(
            "this teacher has no places for dropout",
            value=teacher.architecture,
            fix="Choose a ConvNeXt or a vision transformer, or a recipe without dropout: fundus-vit.",
        )
    for head in heads:
        assert isinstance(head, nn.Dropout)
        head.p = drop
    for block, rate in zip(blocks, torch.linspace(0.0, drop_path, len(blocks)).tolist(), strict=True):
        for name in _BRANCH_DROPS:
            if hasattr(block, name):
                dropping = DropPath(rate) if rate > 0.0 else nn.Identity()
                setattr(block, name, dropping.train(block.training))


def starts_mean_pooled(name: str, weights: Path) -> bool:
    """Return whether a file holds a plain vision transformer that never had a class token.

    Raises:
        InputError: the file is missing or damaged.
    """
    if not timm.models.is_model_in_modules(name, ["vision_transformer"]) or "_gap_" in name:
        return False
    try:
        with safe_open(weights, framework="pt") as file:
            return "pos_embed" in file.keys() and _CLASS_TOKEN not in file.keys()  # noqa: SIM118 - not a dictionary
    except (OSError, SafetensorError) as error:
        raise InputError("weights cannot be read", value=weights, fix="Give a .safetensors file.") from error


def _size_options(name: str, image_size: int) -> dict[str, Any]:
    """Return what a transformer must be told about the picture size; convolutional networks take any."""
    with_stem = timm.models.is_model_in_modules(name, ["vision_transformer_hybrid"])
    if not with_stem and not timm.models.is_model_in_modules(name, ["vision_transformer"]):
        return {}
    if "_r_s16_p8" in name and with_stem:
        return {"img_size": image_size, "patch_size": _stem_patch(image_size)}
    return {"img_size": image_size}


def _stem_patch(image_size: int) -> int:
    """Return the coarsest patch (in stem pixels, at most the published 8) that leaves a usable grid of tokens."""
    stem = image_size // _STEM_STRIDE
    for patch in (8, 4, 2):
        if image_size % (_STEM_STRIDE * patch) == 0 and stem // patch >= _MIN_TOKENS_PER_SIDE:
            return patch
    raise InputError(
        "the picture size does not suit this teacher", value=image_size, fix="Use a multiple of 32, at least 64."
    )


def _create(name: str, *, classes: int, load: bool, options: dict[str, Any]) -> nn.Module:
    try:
        network: nn.Module = timm.create_model(name, pretrained=load, num_classes=classes, **options)
    except (AssertionError, ValueError) as error:
        raise InputError(f"teacher {name} cannot be built", value=error, fix="Choose another picture size.") from error
    except Exception as error:
        # timm, the hub's client and its transport each raise their own kinds; without a download nothing is excused.
        if not load:
            raise
        raise InputError(
            f"published or given weights of {name} could not be loaded",
            value=f"{type(error).__name__}: {error}",
            fix="Without a network, give a local safetensors checkpoint of this architecture as the teacher's weights.",
        ) from error
    return network
