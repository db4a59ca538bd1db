"""Students and teachers by name. Both take ``[B, 3, H, W]`` in 0–255; normalisation is inside."""

from eyebright_learning.models.attention import teacher_features
from eyebright_learning.models.ensemble import Ensemble
from eyebright_learning.models.features import FeatureTargets, TeacherFeatures
from eyebright_learning.models.hybrid import HYBRIDS
from eyebright_learning.models.identity import TeacherIdentity
from eyebright_learning.models.student import STUDENTS, Student, StudentOutput, build_student
from eyebright_learning.models.teacher import Teacher
from eyebright_learning.models.teachers import build_teacher, check_teacher, read_teacher
from eyebright_learning.models.weights import count_parameters, save_weights
from eyebright_learning.teacher_names import teacher_members

__all__ = [
    "HYBRIDS",
    "STUDENTS",
    "Ensemble",
    "FeatureTargets",
    "Student",
    "StudentOutput",
    "Teacher",
    "TeacherFeatures",
    "TeacherIdentity",
    "build_student",
    "build_teacher",
    "check_teacher",
    "count_parameters",
    "read_teacher",
    "save_weights",
    "teacher_features",
    "teacher_members",
]
