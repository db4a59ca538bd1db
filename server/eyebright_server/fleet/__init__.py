"""The fleet: releases go out ring by ring, are watched, and are stopped, promoted or taken back.

* ``ledger_state`` is what is known of a task's rollout: the last word of the ledger, so a restart changes nothing.
* ``watching`` turns units' reports into rates and holds them against control limits.
* ``operations`` are the steps an operator takes: start, promote, pause, resume, roll back. Which release is for which
  unit is decided by ``eyebright_common.release.rollout``, the same way on the unit.
"""

from eyebright_server.fleet.ledger_state import RolloutState, current_rollout, rollout_history
from eyebright_server.fleet.operations import Fleet
from eyebright_server.fleet.watching import Observation, Rate, Shadow, observe

__all__ = ["Fleet", "Observation", "Rate", "RolloutState", "Shadow", "current_rollout", "observe", "rollout_history"]
