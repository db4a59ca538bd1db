"""Two processes under torchrun: what they exchange. The file is its own worker, so that torchrun can start it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from eyebright_common.errors import InputError
from eyebright_learning.training.parallel import joined
from torchrun import torchrun

ROWS = 5  # not divisible by two: the parts differ


def problem(seed: int) -> tuple[nn.Linear, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(ROWS, 3, generator=generator), torch.randn(ROWS, 2, generator=generator)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Linear(3, 2), x, y


def worker(out: Path) -> None:
    with joined() as parallel:
        network, x, y = problem(seed=parallel.rank)  # started differently, made equal by the broadcast
        parallel.broadcast(network)
        part, weight = parallel.share(ROWS), parallel.weight(ROWS)
        loss = F.mse_loss(network(x[part]), y[part])
        loss.backward()
        parallel.average_gradients(network.parameters(), weight=weight)
        found = {
            "loss": float(parallel.weighted_sum(loss, weight=weight)),
            "weight": network.weight.tolist(),
            "gradient": network.weight.grad.tolist(),
            "device": str(parallel.device),
        }
        parallel.agree(7, what="the same")
        try:
            parallel.agree(parallel.rank, what="the epoch")
        except InputError as error:
            found["error"] = str(error)
        parallel.wait()
        (out / f"{parallel.rank}.json").write_text(json.dumps(found))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    out = tmp_path_factory.mktemp("parallel")
    torchrun(Path(__file__), str(out))
    return [json.loads((out / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.slow
def test_every_process_starts_from_the_first_ones_weights(found: list[dict]) -> None:
    assert found[0]["weight"] == found[1]["weight"] == problem(seed=0)[0].weight.tolist()


@pytest.mark.slow
def test_the_gradient_is_the_one_of_the_whole_batch(found: list[dict]) -> None:
    network, x, y = problem(seed=0)
    loss = F.mse_loss(network(x), y)
    loss.backward()
    assert found[0]["gradient"] == found[1]["gradient"]
    torch.testing.assert_close(torch.tensor(found[0]["gradient"]), network.weight.grad)
    assert found[0]["loss"] == found[1]["loss"] == pytest.approx(float(loss.detach()))


@pytest.mark.slow
def test_processes_that_disagree_are_stopped_together(found: list[dict]) -> None:
    assert all("disagree about the epoch: 0 to 1" in one["error"] for one in found)


if __name__ == "__main__":
    worker(Path(sys.argv[1]))
