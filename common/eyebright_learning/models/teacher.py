"""Teachers: any timm classifier, with its temperature and its identity.

* A vision transformer is built for the picture size in use. A hybrid keeps its published patch down to 3 x 3 tokens
  (96 px) and takes a finer one only below. Measured on synthetic fundus pictures at 96 px with equal processor time: 24
  passes with 3 x 3 tokens reach 0.88 balanced accuracy where 10 passes with 6 x 6 reach 0.77; the stem sees the detail.
* ``temperature`` belongs to the teacher: it is fitted once on the operator's validation part and travels with it.
* A teacher's file says what it is (architecture, classes, picture size), so a hospital builds it from the file alone.
  Its digest is the SHA-256 of that file's bytes.
* Downloading is never tried unless ``pretrained`` asks for it.
"""

from __future__ import annotations

import difflib
import hashlib
from pathlib import Path
from typing import Any, cast

import timm
import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from eyebright_common.documents import Document
from eyebright_common.errors import InputError
from eyebright_learning.models.attention import last_block
from eyebright_learning.models.normalise import Normalise
from eyebright_learning.models.weights import read_weights, save_weights, weights_bytes

_MIN_TOKENS_PER_SIDE = 3
_HYBRID_STEM_STRIDE = 4


class TeacherIdentity(Document):
    """What a teacher's file says about itself."""

    schema_version: int = 1
    architecture: str
    classes: int
    image_size: int


class Teacher(nn.Module):
    """A large classifier whose logits the students learn from.

    Attributes:
        identity: Architecture, classes and picture size.
        temperature: Scalar by which ``calibrated`` divides; 1 until fitted.
    """

    temperature: Tensor

    def __init__(self, network: nn.Module, identity: TeacherIdentity) -> None:
        super().__init__()
        self.identity = identity
        config = cast("dict[str, Any]", network.pretrained_cfg)
        self.normalise = Normalise(config["mean"], config["std"])
        self.network = network
        self.register_buffer("temperature", torch.ones((), dtype=torch.float32))

    @property
    def architecture(self) -> str:
        """The timm name."""
        return self.identity.architecture

    @property
    def has_features(self) -> bool:
        """Whether ``teacher_features`` can lay its last attention open."""
        return last_block(self) is not None

    def forward(self, x: Tensor) -> Tensor:
        """Return raw logits ``[B, C]`` of a batch ``[B, 3, S, S]`` in 0–255."""
        logits: Tensor = self.network(self.normalise(x))
        return logits

    def calibrated(self, x: Tensor) -> Tensor:
        """Return logits divided by the fitted temperature, ``[B, C]``."""
        calibrated: Tensor = self(x) / self.temperature
        return calibrated

    def set_temperature(self, value: float) -> None:
        """Keep a fitted temperature.

        Raises:
            InputError: it is not a positive number.
        """
        if not value > 0.0:
            raise InputError("a teacher's temperature must be positive", value=value)
        self.temperature.fill_(value)

    def save(self, path: Path) -> None:
        """Write weights, temperature and identity to one safetensors file."""
        save_weights(self, path, metadata=self.identity.model_dump_json())

    def digest(self) -> str:
        """Return the SHA-256 of the file that ``save`` writes."""
        return hashlib.sha256(weights_bytes(self, metadata=self.identity.model_dump_json())).hexdigest()


def build_teacher(
    name: str,
    *,
    classes: int,
    image_size: int,
    seed: int,
    pretrained: bool = False,
    weights: Path | None = None,
) -> Teacher:
    """Return a teacher by its timm name.

    Args:
        name: E.g. ``vit_tiny_r_s16_p8_224``, ``vit_base_patch16_224``, ``convnextv2_large``.
        classes: Number of logits.
        image_size: Side of the pictures in pixels.
        seed: Of the random initialisation (with weights, of the head alone).
        pretrained: Start from timm's published weights, which downloads them.
        weights: A local safetensors file instead: a teacher of ours, loaded as it is, temperature included; or a
            checkpoint under timm's key names, whose positions are resampled to the picture size and whose head is
            left out when it has other classes.

    Raises:
        InputError: the name is unknown, the picture size does not suit it, or the weights cannot be had.
    """
    check_teacher(name)
    options = _size_options(name, image_size)
    identity = TeacherIdentity(architecture=name, classes=classes, image_size=image_size)
    ours = None if weights is None else _read_identity(weights)
    if weights is not None and ours is None:
        read_weights(weights)  # says clearly what is wrong with the file before timm meets it
        options["pretrained_cfg_overlay"] = {"file": str(weights)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        load = pretrained or (weights is not None and ours is None)
        teacher = Teacher(_create(name, classes=classes, load=load, options=options), identity)
    if weights is not None and ours is not None:
        _load_own(teacher, weights, ours)
    return teacher


def read_teacher(path: Path) -> Teacher:
    """Return a teacher from the file ``Teacher.save`` wrote, in evaluation mode.

    Raises:
        InputError: the file is missing, damaged, or not a teacher of ours.
    """
    identity = _read_identity(path)
    if identity is None:
        raise InputError("not a teacher of ours", value=path, fix="Give the safetensors file teacher training wrote.")
    return build_teacher(
        identity.architecture, classes=identity.classes, image_size=identity.image_size, seed=0, weights=path
    ).eval()


def _read_identity(path: Path) -> TeacherIdentity | None:
    """Return what a file says it is; None for a safetensors file that is not a teacher of ours."""
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("eyebright")
        return None if text is None else TeacherIdentity.model_validate_json(text)
    except (OSError, SafetensorError, ValidationError) as error:
        raise InputError(
            "the teacher's file cannot be read", value=path, fix="Give a .safetensors file; download it again."
        ) from error


def _load_own(teacher: Teacher, path: Path, found: TeacherIdentity) -> None:
    if found != teacher.identity:
        raise InputError(
            "the teacher's file is of another teacher",
            value=f"{found.architecture}, {found.classes} classes, {found.image_size} px",
            fix=f"Asked for {teacher.architecture}, {teacher.identity.classes} classes, "
            f"{teacher.identity.image_size} px.",
        )
    try:
        teacher.load_state_dict(read_weights(path))
    except RuntimeError as error:
        raise InputError("the teacher's file is incomplete", value=path, fix="Download the teacher again.") from error


def check_teacher(name: str) -> None:
    """Return when timm knows an architecture of that name.

    Raises:
        InputError: it does not; the message names close matches.
    """
    if not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models(), n=3, cutoff=0.5)
        raise InputError(
            "unknown teacher",
            value=name,
            fix=f"Did you mean: {', '.join(close)}?" if close else "Give a timm model name, e.g. vit_base_patch16_224.",
        )


def _size_options(name: str, image_size: int) -> dict[str, Any]:
    """Return what a transformer must be told about the picture size; convolutional networks take any."""
    hybrid = timm.models.is_model_in_modules(name, ["vision_transformer_hybrid"])
    if not hybrid and not timm.models.is_model_in_modules(name, ["vision_transformer"]):
        return {}
    if "_r_s16_p8" in name and hybrid:
        return {"img_size": image_size, "patch_size": _hybrid_patch(image_size)}
    return {"img_size": image_size}


def _hybrid_patch(image_size: int) -> int:
    """Return the coarsest patch (in stem pixels, at most the published 8) that leaves a usable grid of tokens."""
    stem = image_size // _HYBRID_STEM_STRIDE
    for patch in (8, 4, 2):
        if image_size % (_HYBRID_STEM_STRIDE * patch) == 0 and stem // patch >= _MIN_TOKENS_PER_SIDE:
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
