"""Honest numbers. Importing this room does not import torch; only ``predict`` does, when it is called."""

from eyebright_learning.evaluation.bootstrap import Interval, bootstrap_interval
from eyebright_learning.evaluation.calibration import ReliabilityBin, fit_temperature, reliability, softmax
from eyebright_learning.evaluation.counts import EvaluationCounts
from eyebright_learning.evaluation.curves import confusion_matrix, roc_points
from eyebright_learning.evaluation.metrics import metrics, referable_score
from eyebright_learning.evaluation.operating_point import Threshold, choose_threshold
from eyebright_learning.evaluation.patients import PatientScores, worst_eye
from eyebright_learning.evaluation.prediction import predict

__all__ = [
    "EvaluationCounts",
    "Interval",
    "PatientScores",
    "ReliabilityBin",
    "Threshold",
    "bootstrap_interval",
    "choose_threshold",
    "confusion_matrix",
    "fit_temperature",
    "metrics",
    "predict",
    "referable_score",
    "reliability",
    "roc_points",
    "softmax",
    "worst_eye",
]
