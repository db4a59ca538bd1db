"""A student of three layers with the interface of the real ones: exports in a second."""

import torch
from torch import Tensor, nn

from eyebright_learning.models import Student


class TinyStudent(Student):
    """Convolution, batch normalisation, ReLU; pooled head. Random but seeded, with batch statistics of its own."""

    def __init__(self, classes: int = 4, seed: int = 0) -> None:
        super().__init__("tiny")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.stem = nn.Conv2d(3, 8, 3, stride=4, padding=1, bias=False)
            self.norm = nn.BatchNorm2d(8)
            nn.init.normal_(self.norm.bias, std=0.5)
            nn.init.uniform_(self.norm.running_var, 0.5, 1.5)
            self.fc = nn.Linear(8, classes)

    @property
    def head(self) -> nn.Linear:
        return self.fc

    def maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = torch.relu(self.norm(self.stem(x)))
        return features, features
