"""A student's architecture as a teacher.

* The strongest start that a few thousand pictures allow where ImageNet's weights are at hand for nothing larger, and
  the usual member of an ensemble.
* A name that both timm and ``STUDENTS`` know means the student's. A teacher that timm built under such a name says so
  in its file and stays readable.
"""

from __future__ import annotations

from eyebright_learning.models.identity import TeacherIdentity
from eyebright_learning.models.student import build_student
from eyebright_learning.models.teacher import Start, Teacher


def student_teacher(identity: TeacherIdentity, start: Start) -> Teacher:
    """Return a student's architecture as a teacher.

    Args:
        identity: Names the architecture, the classes and the picture size.
        start: Its weights are under torchvision's key names: a student of ours, or ImageNet's.

    Raises:
        InputError: the architecture is unknown, or the weights are of another.
    """
    start.refuse_download(identity.architecture)
    network = build_student(identity.architecture, classes=identity.classes, seed=start.seed, weights=start.weights)
    return Teacher(network, identity)
