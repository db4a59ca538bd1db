"""The student with the two outputs of the release contract. Imports torch; only the export does."""

from __future__ import annotations

from torch import Tensor, nn

from eyebright_learning.models import Student


class ReleaseGraph(nn.Module):
    """``image`` float32 ``[1, 3, S, S]`` in 0–255 → ``logits`` ``[1, C]`` and ``cam`` ``[1, C, h, w]``."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and maps."""
        output = self.student.forward_all(image)
        return output.logits, output.cam
