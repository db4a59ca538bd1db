"""The extra view that only the student sees."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from eyebright_learning.distillation import multi_view


def pictures(count: int = 8, size: int = 32, value: float | None = None) -> Tensor:
    if value is not None:
        return torch.full((count, 3, size, size), value)
    return 255.0 * torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def seen(batch: Tensor, probability: float = 1.0, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    return multi_view(batch, probability=probability)


def test_the_seed_decides() -> None:
    assert torch.equal(seen(pictures()), seen(pictures()))
    assert not torch.equal(seen(pictures()), seen(pictures(), seed=1))


def test_every_picture_changes_at_probability_one_and_none_at_zero() -> None:
    batch = pictures()
    changed = (seen(batch) != batch).flatten(1).any(1)
    assert changed.all()
    assert torch.equal(seen(batch, probability=0.0), batch)


def test_about_half_of_the_pictures_change_at_one_half() -> None:
    batch = pictures(count=400, size=16)
    changed = (seen(batch, probability=0.5) != batch).flatten(1).any(1)
    assert float(changed.float().mean()) == pytest.approx(0.5, abs=0.1)


def test_the_batch_given_is_not_written_to() -> None:
    batch, before = pictures(), pictures()
    seen(batch)
    assert torch.equal(batch, before)


def test_pixels_stay_in_range_and_in_their_memory_layout() -> None:
    batch = pictures(size=48).to(memory_format=torch.channels_last)
    out = seen(batch)
    assert float(out.min()) >= 0.0
    assert float(out.max()) <= 255.0
    assert out.shape == batch.shape
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_black_stays_black() -> None:
    assert torch.equal(seen(pictures(value=0.0)), pictures(value=0.0))


def test_grey_stays_grey() -> None:
    grey = pictures()[:, :1].expand(-1, 3, -1, -1)
    out = seen(grey)
    torch.testing.assert_close(out[:, 0], out[:, 1], atol=1e-3, rtol=0)
    torch.testing.assert_close(out[:, 0], out[:, 2], atol=1e-3, rtol=0)


def test_dark_patches_cover_about_a_tenth_in_whole_cells() -> None:
    out = seen(pictures(count=64, size=64, value=128.0))
    inside = out[:, 0].view(64, 4, 16, 4, 16).permute(0, 1, 3, 2, 4).flatten(3)[:, 1:3, 1:3]
    dark = (inside == 0.0).all(3)
    assert 0.03 < float(dark.float().mean()) < 0.2
    assert ((inside == 0.0).any(3) == dark).all()
