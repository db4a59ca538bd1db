"""Data-parallel training: the one seam between a loop and ``torchrun``.

* Every process holds the whole network. Of each global batch it computes ``share``, a contiguous part; gradients are
  weighed by the size of the part and added up, so the step is the one that a single process would have taken with
  the whole batch. That is exact, up to the order of sums, for a network without batch statistics; batch normalisation
  sees only the part.
* Whatever is random (order, views, masks) is drawn for the global batch from seeds that do not know the rank, and then
  shared out. The number of processes is therefore no part of what a run computes.
* Weights are sent once, from the first process; equal weights and equal gradients stay equal.
* Only the first process writes. All of them read the same folder, and ``agree`` notices when they do not.
* A value that stops a run must be the same everywhere before anybody looks at it (``weighted_sum``): a process that
  stops alone leaves the others waiting.
* Without ``torchrun`` there is one process, and nothing here touches the network.

Gradients travel in one buffer after the backward pass. Overlapping the two would hide some of the time; it is left out
because shares of different size and frozen parameters need no special case this way.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, distributed, nn

from eyebright_common.errors import InputError

Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parallel:
    """This process among those that train together.

    Attributes:
        rank: From 0.
        world_size: Number of processes.
        device: Where this one computes.
    """

    rank: int = 0
    world_size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """Return this process's part of ``count`` rows; parts are contiguous and differ by at most one row.

        Raises:
            InputError: there are fewer rows than processes.
        """
        if count < self.world_size:
            raise InputError(
                "a batch is smaller than the number of processes",
                value=f"{count} pictures, {self.world_size} processes",
                fix="Raise batch_size, or start fewer processes.",
            )
        return slice(count * self.rank // self.world_size, count * (self.rank + 1) // self.world_size)

    def weight(self, count: int) -> float:
        """Return the size of this process's part of ``count`` rows, as a part of 1."""
        return len(range(count)[self.share(count)]) / count

    def average_gradients(self, parameters: Iterable[nn.Parameter], *, weight: float) -> None:
        """Replace every gradient by the sum over processes of ``weight`` times gradient; weights add up to 1.

        A parameter without a gradient must have none in all processes.
        """
        if self.world_size == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.reshape(-1).float() for gradient in gradients]).mul_(weight)
        distributed.all_reduce(flat)
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def weighted_sum(self, value: Tensor, *, weight: float) -> Tensor:
        """Return the sum over processes of ``weight`` times ``value``: for means, a global mean.

        Args:
            value: Any shape, the same in all processes; not changed.
            weight: Of this process; weights add up to 1.
        """
        if self.world_size == 1:
            return value.detach()
        total = value.detach() * weight
        distributed.all_reduce(total)
        return total

    def broadcast(self, module: nn.Module) -> None:
        """Give every process the first one's parameters and buffers."""
        if self.world_size == 1:
            return
        for tensor in (*module.parameters(), *module.buffers()):
            distributed.broadcast(tensor.detach(), src=0)

    def agree(self, value: int, *, what: str) -> None:
        """Return when all processes bring the same number.

        Raises:
            InputError: they do not; raised in all of them.
        """
        if self.world_size == 1:
            return
        # The least of v and of -v are the ends of the range: one message instead of two.
        ends = torch.tensor([value, -value], dtype=torch.int64, device=self.device)
        distributed.all_reduce(ends, op=distributed.ReduceOp.MIN)
        least, most = int(ends[0]), -int(ends[1])
        if least != most:
            raise InputError(
                f"the processes disagree about {what}",
                value=f"{least} to {most}",
                fix="Give all of them the same files: one folder that every machine sees.",
            )

    def wait(self) -> None:
        """Return when every process has come here."""
        if self.world_size > 1:
            distributed.barrier()


@contextmanager
def joined(environment: Mapping[str, str] | None = None, *, device: Device = "auto") -> Iterator[Parallel]:
    """Join the processes that ``torchrun`` started, for the time of the block; without it, be the only one.

    On GPUs each process takes the one of its local rank and speaks NCCL; on the processor it speaks Gloo.

    Args:
        environment: Where ``RANK``, ``WORLD_SIZE`` and ``LOCAL_RANK`` are looked up; the process's own by default.
        device: ``auto`` takes GPUs where there are any.

    Raises:
        InputError: this machine has no GPU and one is asked for, or it has fewer GPUs than processes.
    """
    values = os.environ if environment is None else environment
    world_size = int(values.get("WORLD_SIZE", "1"))
    own = _device(int(values.get("LOCAL_RANK", "0")), device)
    if world_size == 1:
        yield Parallel(device=own)
        return
    rank = int(values["RANK"])
    on_gpu = own.type == "cuda"
    distributed.init_process_group(
        "nccl" if on_gpu else "gloo", rank=rank, world_size=world_size, device_id=own if on_gpu else None
    )
    try:
        yield Parallel(rank=rank, world_size=world_size, device=own)
    finally:
        distributed.destroy_process_group()


def _device(local_rank: int, asked: Device) -> torch.device:
    if asked == "cuda" and not torch.cuda.is_available():
        raise InputError("this machine has no GPU that torch can use", fix="Choose --device cpu, or auto.")
    if asked == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    if local_rank >= torch.cuda.device_count():
        raise InputError(
            "this machine has fewer GPUs than processes",
            value=f"{torch.cuda.device_count()} GPUs",
            fix="Start torchrun with --nproc-per-node at most that.",
        )
    own = torch.device("cuda", local_rank)
    torch.cuda.set_device(own)
    return own
