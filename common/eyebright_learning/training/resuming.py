"""What a training keeps and takes up again, among one process or many.

* All processes read the same folder, and the first one writes. ``agree`` notices a folder that not all of them see.
* One process keeps the state of torch's generators. Several have a state each that no file holds: there, every epoch
  draws from (seed, epoch, rank), so that nothing has to be kept and no two parts of a batch share their dropout.
* Terms on features are not kept: their discriminator and its optimiser belong to one uninterrupted stretch.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from eyebright_learning.training.averaging import WeightAverage
from eyebright_learning.training.checkpoint import (
    History,
    average_state,
    load_average,
    load_moments,
    load_network,
    load_randomness,
    moments,
    network_state,
    randomness,
    read_checkpoint,
    save_checkpoint,
)
from eyebright_learning.training.parallel import Parallel


class Resuming:
    """The checkpoint of one stretch while it is trained.

    Attributes:
        finished: Whether nothing is left to train; known after ``resume``.
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        key: str,
        network: nn.Module,
        optimiser: torch.optim.Optimizer,
        average: WeightAverage | None,
        parallel: Parallel,
    ) -> None:
        self.folder, self.key, self.parallel = folder, key, parallel
        self.network, self.optimiser, self.average = network, optimiser, average
        self.device = next(network.parameters()).device
        self.finished = False

    def resume(self) -> History:
        """Take up what the folder holds and return the epochs that are behind us.

        Raises:
            InputError: the folder holds another training, is damaged, or differs between processes.
        """
        found = None if self.folder is None else read_checkpoint(self.folder, key=self.key)
        self.parallel.agree(0 if found is None else len(found.history), what="the epochs that are done")
        if found is None:
            return ()
        self.finished = found.finished
        load_network(self.network, found.state)
        if not self.finished:
            load_moments(self.optimiser, found.state)
            load_average(self.average, found.state)
            load_randomness(self.device, found.state)
        return found.history

    def begin(self, epoch: int, *, seed: int) -> None:
        """Set the generators for ``epoch`` where several processes draw."""
        if self.parallel.world_size > 1:
            torch.manual_seed(int(np.random.SeedSequence([seed, epoch, self.parallel.rank]).generate_state(1)[0]))

    def keep(self, history: History) -> None:
        """Write the end of an epoch; return in every process when it is safe on disk."""
        if self.folder is not None and self.parallel.is_first:
            drawn = randomness(self.device) if self.parallel.world_size == 1 else {}
            state = {**network_state(self.network), **moments(self.optimiser), **average_state(self.average), **drawn}
            save_checkpoint(self.folder, key=self.key, history=history, state=state)
        self.parallel.wait()

    def finish(self, history: History) -> None:
        """Write the end of the stretch: the network alone."""
        if self.folder is not None and not self.finished and self.parallel.is_first:
            save_checkpoint(
                self.folder, key=self.key, history=history, state=network_state(self.network), finished=True
            )
        self.parallel.wait()
