"""How a job's process begins: one thread, one seed, and the device asked for.

On the processor everything is deterministic. On a graphics card some gradients (pooling) have no deterministic form, so
two runs there differ in the last digits; the table says which device it was.
"""

from __future__ import annotations

import torch

from eyebright_common.errors import InputError
from eyebright_learning.training import set_determinism
from eyebright_simulations.study.options import StudyOptions


def begin(options: StudyOptions, *, seed: int) -> torch.device:
    """Return the device to work on, with this process seeded.

    Raises:
        InputError: there is no such device here.
    """
    if options.device == "cpu":
        set_determinism(seed, 1)
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise InputError("no graphics card can be used here", value=options.device, fix="Use --device cpu.")
    torch.manual_seed(seed)
    return torch.device("cuda")
