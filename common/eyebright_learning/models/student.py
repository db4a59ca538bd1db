"""Students: the small networks that travel, are averaged, and end up on screening units.

* Torchvision's bodies under torchvision's own key names, so public checkpoints load without a translation table.
* The head is dropout, global average pooling and one linear layer. Therefore the class activation map is the head's
  weights applied to the last feature map, and its spatial mean plus the bias is the logit: no gradient on the unit.
* ``tap`` is the stride-16 map that feature losses look at (reference: learning.md, section 3).
* Random initialisation depends on the seed alone and leaves torch's global generator as it was.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models as torchvision_models

from eyebright_common.errors import InputError
from eyebright_learning.models.normalise import Normalise
from eyebright_learning.models.weights import load_matching, read_weights


class StudentOutput(NamedTuple):
    """What a student can tell about a batch.

    Attributes:
        logits: ``[B, C]``.
        cam: Class activation maps ``[B, C, h, w]``; outside training ``cam.mean((2, 3)) + bias == logits``.
        tap: Stride-16 features ``[B, c, H/16, W/16]``.
    """

    logits: Tensor
    cam: Tensor
    tap: Tensor


class Student(nn.Module, ABC):
    """A small classifier with a class activation map; see the module docstring.

    Attributes:
        architecture: Name in ``STUDENTS``.
        head_prefix: Prefix of the head's keys in the state.
    """

    head_prefix = ""

    def __init__(self, architecture: str) -> None:
        super().__init__()
        self.architecture = architecture
        self.normalise = Normalise()

    @property
    @abstractmethod
    def head(self) -> nn.Linear:
        """The linear layer from pooled features to logits."""

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.head.out_features

    @abstractmethod
    def maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the stride-16 tap and the last feature map of a normalised batch."""

    def drop(self, pooled: Tensor) -> Tensor:
        """Return the pooled features ``[B, c]`` after the architecture's own dropout."""
        return pooled

    def forward_all(self, x: Tensor) -> StudentOutput:
        """Return logits, maps and tap of a batch ``[B, 3, H, W]`` in 0–255."""
        tap, last = self.maps(self.normalise(x))
        pooled = torch.flatten(F.adaptive_avg_pool2d(last, 1), 1)
        logits = self.head(self.drop(pooled))
        cam = F.conv2d(last, self.head.weight[:, :, None, None])
        return StudentOutput(logits, cam, tap)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``[B, C]`` of a batch ``[B, 3, H, W]`` in 0–255."""
        _, last = self.maps(self.normalise(x))
        logits: Tensor = self.head(self.drop(torch.flatten(F.adaptive_avg_pool2d(last, 1), 1)))
        return logits


class SequentialStudent(Student):
    """MobileNetV2 and EfficientNet: a chain ``features``, tapped after block ``tap_index``."""

    head_prefix = "classifier.1."

    def __init__(self, architecture: str, network: nn.Module, *, tap_index: int, classes: int) -> None:
        super().__init__(architecture)
        features = network.get_submodule("features")
        assert isinstance(features, nn.Sequential)
        self.features = features
        dropout, linear = network.get_submodule("classifier").children()
        assert isinstance(linear, nn.Linear)
        self.classifier = nn.Sequential(dropout, nn.Linear(linear.in_features, classes))
        self.tap_index = tap_index

    @property
    def head(self) -> nn.Linear:
        """The linear layer from pooled features to logits."""
        head = self.classifier[1]
        assert isinstance(head, nn.Linear)
        return head

    def drop(self, pooled: Tensor) -> Tensor:
        """Return the pooled features ``[B, c]`` after the architecture's own dropout."""
        dropped: Tensor = self.classifier[0](pooled)
        return dropped

    def maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the stride-16 tap and the last feature map of a normalised batch."""
        tap = x
        for index, block in enumerate(self.features):
            x = block(x)
            if index == self.tap_index:
                tap = x
        return tap, x


class ResidualStudent(Student):
    """ResNet18: stem and four stages, tapped after the third."""

    head_prefix = "fc."

    def __init__(self, architecture: str, network: nn.Module, *, classes: int) -> None:
        super().__init__(architecture)
        for name in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"):
            self.add_module(name, network.get_submodule(name))
        old = network.get_submodule("fc")
        assert isinstance(old, nn.Linear)
        self.fc = nn.Linear(old.in_features, classes)

    @property
    def head(self) -> nn.Linear:
        """The linear layer from pooled features to logits."""
        return self.fc

    def maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the stride-16 tap and the last feature map of a normalised batch."""
        for name in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3"):
            x = self.get_submodule(name)(x)
        return x, self.get_submodule("layer4")(x)


def _sequential(name: str, tap_index: int) -> Callable[[int], Student]:
    def build(classes: int) -> Student:
        network = getattr(torchvision_models, name)(weights=None)
        return SequentialStudent(name, network, tap_index=tap_index, classes=classes)

    return build


def _resnet18(classes: int) -> Student:
    return ResidualStudent("resnet18", torchvision_models.resnet18(weights=None), classes=classes)


_BUILDERS: dict[str, Callable[[int], Student]] = {
    "mobilenet_v2": _sequential("mobilenet_v2", 13),
    "resnet18": _resnet18,
    "efficientnet_b0": _sequential("efficientnet_b0", 5),
    "efficientnet_b2": _sequential("efficientnet_b2", 5),
}

STUDENTS: tuple[str, ...] = tuple(_BUILDERS)


def build_student(name: str, *, classes: int, seed: int, weights: Path | None = None) -> Student:
    """Return a student, randomly initialised from ``seed`` or started from a file.

    Args:
        name: One of ``STUDENTS``.
        classes: Number of logits.
        seed: Of the initialisation; with ``weights``, of the head when the file's head has other classes.
        weights: A safetensors file under torchvision's key names: one of ours, or ImageNet's with its 1000 classes.

    Raises:
        InputError: the name is unknown, or the weights are of another architecture.
    """
    if name not in _BUILDERS:
        raise InputError("unknown student", value=name, fix=f"Choose one of: {', '.join(STUDENTS)}.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        student = _BUILDERS[name](classes)
        nn.init.normal_(student.head.weight, std=0.01)
        nn.init.zeros_(student.head.bias)
    if weights is not None:
        load_matching(student, read_weights(weights), head=student.head_prefix, architecture=name)
    return student
