"""One loop for teacher, student and every comparison arm."""

from eyebright_learning.training.config import StudentTraining, TeacherTraining, Training
from eyebright_learning.training.determinism import set_determinism
from eyebright_learning.training.loop import EpochRecord, TrainingResult, fit
from eyebright_learning.training.students import train_student
from eyebright_learning.training.teachers import TeacherResult, train_teacher

__all__ = [
    "EpochRecord",
    "StudentTraining",
    "TeacherResult",
    "TeacherTraining",
    "Training",
    "TrainingResult",
    "fit",
    "set_determinism",
    "train_student",
    "train_teacher",
]
