"""The seam to torchrun: shares that cover the batch, weights that add up, and one process that notices nothing."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from eyebright_common.errors import InputError
from eyebright_learning.training.parallel import Parallel, joined


@given(st.integers(1, 9), st.integers(0, 40))
def test_shares_cover_the_batch_once_and_are_equal_to_within_one(world_size: int, more: int) -> None:
    count = world_size + more
    parts = [range(count)[Parallel(rank=rank, world_size=world_size).share(count)] for rank in range(world_size)]
    assert [i for part in parts for i in part] == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(st.integers(1, 9), st.integers(0, 40))
def test_weights_of_all_processes_add_up_to_one(world_size: int, more: int) -> None:
    weights = [Parallel(rank=rank, world_size=world_size).weight(world_size + more) for rank in range(world_size)]
    assert sum(weights) == pytest.approx(1.0)


def test_a_batch_smaller_than_the_processes_is_refused() -> None:
    with pytest.raises(InputError, match="batch_size"):
        Parallel(rank=0, world_size=4).share(3)


def test_without_torchrun_there_is_one_process_and_it_writes() -> None:
    with joined({}) as alone:
        assert (alone.rank, alone.world_size, alone.is_first) == (0, 1, True)


def test_alone_nothing_is_changed() -> None:
    layer = nn.Linear(2, 1)
    layer(torch.ones(1, 2)).sum().backward()
    before = [parameter.grad.clone() for parameter in layer.parameters() if parameter.grad is not None]
    alone = Parallel()
    alone.average_gradients(layer.parameters(), weight=1.0)
    alone.broadcast(layer)
    alone.agree(3, what="anything")
    alone.wait()
    assert all(torch.equal(a, b.grad) for a, b in zip(before, layer.parameters(), strict=True))
    assert float(alone.weighted_sum(torch.tensor(2.5), weight=1.0)) == 2.5


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="no GPU"), joined({}, device="cuda"):
        pass


def test_the_processor_is_taken_when_it_is_asked_for() -> None:
    with joined({}, device="cpu") as alone:
        assert alone.device.type == "cpu"
