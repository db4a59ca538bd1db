"""What a referral is worth where disease is as common as stated.

A study's own share of ill people is chosen by whoever collected it, so its own predictive values say nothing about a
clinic. Bayes' theorem restates them for prevalence p, sensitivity Se and specificity Sp:

    PPV = Se p / (Se p + (1 - Sp)(1 - p))        NPV = Sp (1 - p) / (Sp (1 - p) + (1 - Se) p)
"""

from __future__ import annotations

import numpy as np

from eyebright_learning.evaluation.cases import Floats
from eyebright_learning.evaluation.ranking import shares


def positive_predictive_value(sensitivity: Floats, specificity: Floats, prevalence: float) -> Floats:
    """Return the share of the referred who are ill, ``[R]``; NaN where nobody would be referred."""
    ill, well = sensitivity * prevalence, (1.0 - specificity) * (1.0 - prevalence)
    return shares(np.asarray(ill), np.asarray(ill + well))


def negative_predictive_value(sensitivity: Floats, specificity: Floats, prevalence: float) -> Floats:
    """Return the share of those not referred who are healthy, ``[R]``; NaN where everybody would be referred."""
    well, ill = specificity * (1.0 - prevalence), (1.0 - sensitivity) * prevalence
    return shares(np.asarray(well), np.asarray(well + ill))
