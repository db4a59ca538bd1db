"""Honest numbers. Importing this room does not import torch; only ``predict`` and ``predict_tta`` do, when called.

* ``metrics`` and ``EvaluationCounts`` are the one dictionary of figures that rounds, gates and reports share.
* ``Cases``, ``Criteria`` and ``estimates`` are for judging a finished model: every statistic with an interval, on
  pictures, eyes (``by_eye``), patients (``by_patient``) and ``strata``, from one pass of resamples;
  ``paired_difference`` and ``paired_ratio`` compare two models on the same cases.
"""

from eyebright_learning.evaluation.aggregation import Aggregated, EyeRule, by_eye, by_patient
from eyebright_learning.evaluation.bootstrap import Interval, bootstrap_interval
from eyebright_learning.evaluation.calibration import ReliabilityBin, fit_temperature, reliability, softmax
from eyebright_learning.evaluation.cases import Cases, Criteria
from eyebright_learning.evaluation.counts import EvaluationCounts
from eyebright_learning.evaluation.curves import confusion_matrix, roc_points
from eyebright_learning.evaluation.estimates import Estimate, estimates, paired_difference, paired_ratio
from eyebright_learning.evaluation.metrics import metrics, referable_score
from eyebright_learning.evaluation.operating_point import Threshold, choose_threshold
from eyebright_learning.evaluation.patients import PatientScores, worst_eye
from eyebright_learning.evaluation.prediction import predict
from eyebright_learning.evaluation.statistics import quadratic_kappa
from eyebright_learning.evaluation.strata import MIN_GROUPS, Stratum, strata
from eyebright_learning.evaluation.test_time import predict_tta

__all__ = [
    "MIN_GROUPS",
    "Aggregated",
    "Cases",
    "Criteria",
    "Estimate",
    "EvaluationCounts",
    "EyeRule",
    "Interval",
    "PatientScores",
    "ReliabilityBin",
    "Stratum",
    "Threshold",
    "bootstrap_interval",
    "by_eye",
    "by_patient",
    "choose_threshold",
    "confusion_matrix",
    "estimates",
    "fit_temperature",
    "metrics",
    "paired_difference",
    "paired_ratio",
    "predict",
    "predict_tta",
    "quadratic_kappa",
    "referable_score",
    "reliability",
    "roc_points",
    "softmax",
    "strata",
    "worst_eye",
]
