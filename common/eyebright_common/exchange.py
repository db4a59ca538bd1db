"""The words a server and a hospital use in a round: message keys, reply keys and refusal codes.

* One place, so that what may leave a hospital can be read in a minute: arrays of the student, the integers of
  ``REPLY_COUNTS``, one mean loss per term, and the integer counts of an evaluation. No text of a hospital's own.
* Every question carries a nonce of its own, and the answer repeats it: an answer to another question, or an old one
  sent again, is known by it.
* A refusal is a code and a fixed sentence. The true reason, with its file names, stays in the hospital's own log.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

ARRAYS = "arrays"
CONFIG = "config"
METRICS = "metrics"

READY = 0

PLAN = "plan"
ROUND = "round"
PLAN_DIGEST = "plan-digest"
NONCE = "nonce"
PLAN_SIGNATURE = "plan-signature"

NUM_EXAMPLES = "num-examples"
STEPS = "steps"
SITE_INDEX = "site-index"
STATUS = "status"
TRAIN_ROWS = "train-rows"
VALIDATION_ROWS = "validation-rows"
LOSS_PREFIX = "loss-"
COUNTS_PREFIX = "counts-"
BEATS_OWN = "beats-own"
REPLY_COUNTS = frozenset({NUM_EXAMPLES, STEPS, SITE_INDEX, STATUS, TRAIN_ROWS, VALIDATION_ROWS, BEATS_OWN})


class BeatsOwn(IntEnum):
    """What a hospital says of the federated student against its own: no more than this leaves."""

    NO = 0
    YES = 1
    UNKNOWN = 2


class Refusal(IntEnum):
    """Why a hospital answered with an error; far from the codes a transport uses for itself."""

    PLAN_REFUSED = 1001
    SITE_UNUSABLE = 1002
    BAD_REQUEST = 1003
    FAILED = 1004


REFUSAL_TEXT = {
    Refusal.PLAN_REFUSED: "the hospital has not approved this plan",
    Refusal.SITE_UNUSABLE: "the hospital's prepared data or teacher cannot be used; its own log says why",
    Refusal.BAD_REQUEST: "the hospital could not read the request",
    Refusal.FAILED: "the hospital's work failed; its own log says why",
}


def is_counter(name: str) -> bool:
    """Whether an array is a BatchNorm step counter: an integer that no average may touch, so it never travels."""
    return name.endswith("num_batches_tracked")


def is_running_statistic(name: str) -> bool:
    """Whether an array is a BatchNorm running mean or variance: a measurement, not a parameter."""
    return name.endswith(("running_mean", "running_var"))


def batch_norm_names(names: Iterable[str]) -> frozenset[str]:
    """Return the arrays among ``names`` of batch normalisation: statistics, and the scale and shift beside them."""
    known = frozenset(names)
    layers = {name.removesuffix("running_mean") for name in known if name.endswith("running_mean")}
    parts = ("weight", "bias", "running_mean", "running_var")
    return frozenset(layer + part for layer in layers for part in parts) & known


def head_names(names: Iterable[str]) -> frozenset[str]:
    """Return the arrays among ``names`` of a student's last layer: what its logits are linear in."""
    return frozenset(name for name in names if name.startswith(("classifier.", "fc.")))
