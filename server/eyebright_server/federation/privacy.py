"""Differential privacy of hospitals: clip each update, average all alike, add noise, and count what it cost.

::

    theta' = theta + 1/K sum_i clip(theta_i - theta, S) + N(0, (z S / K)^2)      clip(d, S) = d min(1, S / |d|)

* Clipping and noise are those of Flower's ``DifferentialPrivacyServerSideFixedClipping`` (McMahan et al. 2018, arXiv
  1710.06963): the update as one vector, noise of deviation ``z S / K``. Why it is not that class: see ADR 0014.
* What a release costs, ``eyebright_common.privacy_cost`` says. No amplification by sampling: everybody is asked.
* Neighbours are two runs of which one has a hospital's update replaced by none at all, with ``K`` as it was.
* All hospitals count alike: a weight by images would let a large one move the average by more than ``S / K``.
* **The noise of a round is a function of a secret and the round.** A server that was killed and computes a round again
  adds the same noise; fresh noise on the same average would be a second release that nobody counts.
* Not covered: losses and tables of counts, which hospitals send in the clear.
"""

from __future__ import annotations

import hashlib
import math
import secrets
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eyebright_common.durable import write_bytes
from eyebright_common.plan import PlanPrivacy
from eyebright_common.privacy_cost import epsilon_of
from eyebright_server.federation.averaging import greatest
from eyebright_server.federation.records import Arrays, Reply

SECRET = "noise.key"
_RELEASES = "privacy/releases"


def noise_secret(folder: Path) -> bytes:
    """Return the run's secret, made and kept in ``folder`` when there is none; who has it can take the noise off."""
    path = folder / SECRET
    if not path.exists():
        write_bytes(path, secrets.token_bytes(32), mode=0o600)
    return path.read_bytes()


class PrivateAveraging:
    """Averages with clipping and noise.

    Args:
        privacy: ``Plan.privacy``.
        secret: Of this run, see ``noise_secret``.
    """

    def __init__(self, privacy: PlanPrivacy, secret: bytes) -> None:
        self._privacy, self._secret, self._releases = privacy, secret, 0

    def combine(self, round_number: int, current: Arrays, replies: Sequence[Reply]) -> Arrays:
        """Return the next global arrays; see the module docstring."""
        names = [name for name in sorted(current) if current[name].dtype.kind == "f"]
        total: Arrays = {name: np.zeros(current[name].shape) for name in names}
        for reply in replies:
            deltas = {n: a.astype(np.float64) - current[n] for n, a in reply.arrays.items() if n in total}
            scale = clipping_scale(deltas, self._privacy.clipping_norm)
            for name, delta in deltas.items():
                total[name] += scale * delta
        deviation = self._privacy.noise_multiplier * self._privacy.clipping_norm / len(replies)
        noise = np.random.default_rng(self._seed(round_number))
        combined: Arrays = {}
        for name in names:
            moved = current[name] + total[name] / len(replies) + noise.normal(0.0, deviation, current[name].shape)
            # Post-processing costs nothing: a variance below zero is noise alone.
            combined[name] = (np.maximum(moved, 0.0) if name.endswith("running_var") else moved).astype(
                current[name].dtype
            )
        self._releases += 1
        whole = [name for name in sorted(current) if name not in total]
        return combined | greatest(replies, whole)

    def state(self) -> Arrays:
        """Return the number of releases so far."""
        return {_RELEASES: np.array([self._releases], dtype=np.int64)}

    def restore(self, state: Arrays) -> None:
        """Take back what ``state`` returned."""
        self._releases = int(state[_RELEASES][0]) if _RELEASES in state else 0

    @property
    def spent(self) -> float:
        """Epsilon spent so far."""
        return epsilon_of(self._releases, self._privacy)

    @property
    def can_go_on(self) -> bool:
        """Whether another release stays within the plan's ``max_epsilon``."""
        return epsilon_of(self._releases + 1, self._privacy) <= self._privacy.max_epsilon

    def _seed(self, round_number: int) -> list[int]:
        digest = hashlib.sha256(self._secret + b"round %d" % round_number).digest()
        return [int.from_bytes(digest[i : i + 4], "big") for i in range(0, 32, 4)]


def clipping_scale(deltas: Arrays, norm: float) -> float:
    """Return what an update is multiplied with so that, as one vector, it is no longer than ``norm``."""
    length = math.sqrt(sum(float(np.vdot(delta, delta)) for delta in deltas.values()))
    return min(1.0, norm / length) if length > 0 else 1.0
