"""One loop for teacher, student and every comparison arm."""

from eyebright_learning.training.config import StudentTraining, TeacherTraining, Training
from eyebright_learning.training.determinism import set_determinism
from eyebright_learning.training.loop import fit
from eyebright_learning.training.records import EpochRecord, TrainingResult
from eyebright_learning.training.students import train_student
from eyebright_learning.training.teachers import TeacherResult, calibrate, train_teacher

__all__ = [
    "EpochRecord",
    "StudentTraining",
    "TeacherResult",
    "TeacherTraining",
    "Training",
    "TrainingResult",
    "calibrate",
    "fit",
    "set_determinism",
    "train_student",
    "train_teacher",
]
