"""Students and teachers by name. Both take ``[B, 3, H, W]`` in 0–255; normalisation is inside."""

from eyebright_learning.models.attention import teacher_features
from eyebright_learning.models.features import FeatureTargets, TeacherFeatures
from eyebright_learning.models.student import STUDENTS, Student, StudentOutput, build_student
from eyebright_learning.models.teacher import Teacher, build_teacher, check_teacher, read_teacher
from eyebright_learning.models.weights import count_parameters, save_weights

__all__ = [
    "STUDENTS",
    "FeatureTargets",
    "Student",
    "StudentOutput",
    "Teacher",
    "TeacherFeatures",
    "build_student",
    "build_teacher",
    "check_teacher",
    "count_parameters",
    "read_teacher",
    "save_weights",
    "teacher_features",
]
