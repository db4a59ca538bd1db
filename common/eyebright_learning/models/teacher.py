"""Teachers: one interface over whatever classifier the students learn from.

* A teacher is a network, its identity and its temperature. Kinds differ in the network alone: timm's classifiers
  (``timm_teacher``), students' architectures (``student_teacher``), hybrids (``hybrid``) and means of several teachers
  (``ensemble``). ``teachers`` builds each from its name or from its file.
* ``temperature`` belongs to the teacher: it is fitted once on the operator's validation part and travels with it.
* A teacher is known by the SHA-256 of the bytes of its file.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from eyebright_common.errors import InputError
from eyebright_learning.models.attention import last_block
from eyebright_learning.models.identity import TeacherIdentity
from eyebright_learning.models.normalise import Normalise
from eyebright_learning.models.weights import save_weights, weights_bytes


class Teacher(nn.Module):
    """A large classifier whose logits the students learn from.

    Attributes:
        identity: Architecture, classes and picture size.
        network: Takes what ``normalise`` gives, returns logits.
        normalise: As a timm network's published weights expect; our own networks normalise inside.
        temperature: Scalar by which ``calibrated`` divides; 1 until fitted.
    """

    temperature: Tensor

    def __init__(self, network: nn.Module, identity: TeacherIdentity) -> None:
        super().__init__()
        self.identity = identity
        config = getattr(network, "pretrained_cfg", None)
        self.normalise = nn.Identity() if config is None else Normalise(config["mean"], config["std"])
        self.network = network
        self.register_buffer("temperature", torch.ones((), dtype=torch.float32))

    @property
    def architecture(self) -> str:
        """The name that ``build_teacher`` takes."""
        return self.identity.architecture

    @property
    def has_features(self) -> bool:
        """Whether ``teacher_features`` can lay its last attention open; for an ensemble, that of any member."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a new teacher starts from.

    Attributes:
        seed: Of the random initialisation (with weights, of what they leave out).
        pretrained: Start from published weights, which downloads them.
        weights: A safetensors file that is not a teacher of ours.
    """

    seed: int
    pretrained: bool = False
    weights: Path | None = None

    def refuse_download(self, name: str) -> None:
        """Return when nothing has to be downloaded.

        Raises:
            InputError: published weights are asked for, and only timm's can be downloaded.
        """
        if self.pretrained:
            raise InputError(
                "published weights are downloaded for timm's teachers only",
                value=name,
                fix="Give a local safetensors file under torchvision's key names as the teacher's weights.",
            )
