"""Pre-training as a whole, at smoke size: it learns, a collapse is seen, and it goes on where it was stopped."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from eyebright_common.errors import EyebrightError, InputError
from eyebright_learning.data import PreparedImages
from eyebright_learning.pretraining import (
    EncoderConfig,
    PretrainingConfig,
    PretrainingEpoch,
    PretrainingResult,
    build_encoder,
    pretrain,
    smoke_encoder,
)
from eyebright_learning.pretraining.crops import crop_box, crop_views
from eyebright_learning.pretraining.masks import MaskSampling
from learning_pictures import striped_pictures

TINY = replace(PretrainingConfig.smoke(epochs=4), predictor_depth=1, masks=MaskSampling(minimum_kept=2))
TINY_ENCODER = EncoderConfig(architecture="test_vit", image_size=32, patch_size=8)


class Stopped(Exception):
    """The power failed."""


def tiny(images: PreparedImages | None = None, **options: object) -> PretrainingResult:
    options = {"config": TINY, **options}
    return pretrain(TINY_ENCODER, images or striped_pictures(24), **options)  # type: ignore[arg-type]


def same(a: PretrainingResult, b: PretrainingResult) -> bool:
    left, right = a.encoder.state_dict(), b.encoder.state_dict()
    return a.history == b.history and all(torch.equal(left[name], right[name]) for name in left)


@pytest.fixture(scope="module")
def straight() -> PretrainingResult:
    return tiny()


@pytest.mark.slow
def test_the_smoke_size_learns_and_does_not_collapse() -> None:
    result = pretrain(
        smoke_encoder(),
        striped_pictures(64, size=64),
        config=PretrainingConfig.smoke(),
        probe=striped_pictures(48, size=64, seed=9),
    )
    first, last = result.history[0], result.history[-1]
    assert last.held_out_loss < 0.8 * first.held_out_loss
    assert result.collapsed is None
    assert last.rank > 2.0
    assert last.probe is not None


def test_the_same_seed_gives_the_same_encoder(straight: PretrainingResult) -> None:
    assert same(straight, tiny())


def test_another_seed_gives_another(straight: PretrainingResult) -> None:
    assert not same(straight, tiny(config=replace(TINY, seed=1)))


def test_labels_are_not_looked_at(straight: PretrainingResult) -> None:
    images = striped_pictures(24)
    assert same(straight, tiny(replace(images, labels=np.full(24, -1))))


def test_a_run_that_was_stopped_ends_with_the_same_bits(straight: PretrainingResult, tmp_path: Path) -> None:
    def stop_after_two(record: PretrainingEpoch) -> None:
        if record.epoch == 2:
            raise Stopped

    with pytest.raises(Stopped):
        tiny(checkpoint_dir=tmp_path, on_epoch=stop_after_two)
    seen: list[int] = []
    resumed = tiny(checkpoint_dir=tmp_path, on_epoch=lambda record: seen.append(record.epoch))
    assert seen == [3, 4]
    assert same(straight, resumed)


def test_a_finished_run_is_read_back_without_training(straight: PretrainingResult, tmp_path: Path) -> None:
    tiny(checkpoint_dir=tmp_path)

    def nothing_left(record: PretrainingEpoch) -> None:
        raise AssertionError(record)

    assert same(straight, tiny(checkpoint_dir=tmp_path, on_epoch=nothing_left))


def test_only_the_last_epochs_weights_are_kept(tmp_path: Path) -> None:
    tiny(checkpoint_dir=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch-4.safetensors", "pretraining.json"]


def test_a_kill_between_the_two_files_loses_nothing(straight: PretrainingResult, tmp_path: Path) -> None:
    def stop(record: PretrainingEpoch) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        tiny(checkpoint_dir=tmp_path, on_epoch=stop)
    (tmp_path / "epoch-2.safetensors").write_bytes(b"half of an epoch")
    assert same(straight, tiny(checkpoint_dir=tmp_path))


@pytest.mark.parametrize("change", [{"learning_rate": 2e-3}, {"seed": 3}, {"epochs": 5}])
def test_another_runs_folder_is_refused(tmp_path: Path, change: dict[str, float]) -> None:
    tiny(config=replace(TINY, epochs=1), checkpoint_dir=tmp_path)
    with pytest.raises(InputError, match="another pre-training"):
        tiny(config=replace(TINY, **{"epochs": 1, **change}), checkpoint_dir=tmp_path)


def test_other_pictures_in_the_same_folder_are_refused(tmp_path: Path) -> None:
    once = replace(TINY, epochs=1)
    tiny(config=once, checkpoint_dir=tmp_path)
    with pytest.raises(InputError, match="another pre-training"):
        tiny(striped_pictures(24, seed=5), config=once, checkpoint_dir=tmp_path)


def test_a_damaged_checkpoint_is_refused_in_words(tmp_path: Path) -> None:
    tiny(config=replace(TINY, epochs=1), checkpoint_dir=tmp_path)
    (tmp_path / "epoch-1.safetensors").write_bytes(b"not tensors")
    with pytest.raises(InputError, match="cannot be read"):
        tiny(config=replace(TINY, epochs=1), checkpoint_dir=tmp_path)


def test_what_is_on_disk_is_the_history(tmp_path: Path) -> None:
    result = tiny(checkpoint_dir=tmp_path)
    written = json.loads((tmp_path / "pretraining.json").read_text())
    assert [one["loss"] for one in written["history"]] == [one.loss for one in result.history]


def test_a_collapse_is_said_with_its_reason() -> None:
    blank = PreparedImages.of(np.full((8, 32, 32, 3), 90, dtype=np.uint8), [0] * 8)
    result = tiny(blank, config=replace(TINY, epochs=1))
    assert "RankMe" in str(result.collapsed)
    assert "deviation" in str(result.collapsed)


def test_the_result_is_the_slow_encoder() -> None:
    # A target encoder that keeps nearly all of itself is still nearly what it started as.
    result = tiny(config=replace(TINY, momentum=1.0 - 1e-9))
    start = build_encoder(TINY_ENCODER).state_dict()
    for name, tensor in result.encoder.state_dict().items():
        torch.testing.assert_close(tensor, start[name], atol=1e-6, rtol=0)


def test_half_precision_stays_near_full_precision(straight: PretrainingResult) -> None:
    found = tiny(config=replace(TINY, precision="bf16")).history[0].loss
    assert found == pytest.approx(straight.history[0].loss, rel=0.02)


def test_a_loss_that_is_not_a_number_stops_the_run() -> None:
    wild = replace(TINY, learning_rate=1e30, start_rate=1e30, warmup=0.0)
    with pytest.raises(EyebrightError, match="the loss is"):
        tiny(config=wild)


def test_pictures_without_labels_can_be_watched() -> None:
    probe = striped_pictures(8, seed=2)
    unlabelled = replace(probe, labels=np.full(8, -1))
    once = replace(TINY, epochs=1)
    assert tiny(config=once, probe=unlabelled).history[-1].probe is None
    assert tiny(config=once, probe=probe).history[-1].probe is not None


def test_one_picture_is_not_enough() -> None:
    with pytest.raises(InputError, match="two pictures"):
        tiny(striped_pictures(1))


@pytest.mark.parametrize(
    ("knob", "value"),
    [
        ("epochs", 0),
        ("batch_size", 1),
        ("learning_rate", 0.0),
        ("start_rate", 1.0),
        ("final_rate", 1.0),
        ("warmup", 1.0),
        ("momentum", 1.0),
        ("final_weight_decay", 0.0),
        ("crop_scale", (0.5, 0.3)),
        ("precision", "fp8"),
        ("predictor_depth", 0),
        ("rank_floor", float("nan")),
    ],
)
def test_a_configuration_that_cannot_work_is_refused_by_its_knob(knob: str, value: object) -> None:
    with pytest.raises(InputError, match=knob):
        PretrainingConfig(**{"epochs": 1, knob: value})  # type: ignore[arg-type]


def test_a_grid_too_small_for_its_masks_is_refused_before_training() -> None:
    with pytest.raises(InputError, match="minimum_kept"):
        tiny(config=replace(TINY, masks=MaskSampling(minimum_kept=14)))


def test_a_crop_lies_within_the_picture_and_has_the_asked_area() -> None:
    for draws in np.random.default_rng(0).random((200, 4)):
        top, left, height, width = crop_box(draws, (0.3, 1.0))
        assert 0.3 - 1e-9 <= height * width <= 1.0 + 1e-9
        assert 3 / 4 - 1e-9 <= width / height <= 4 / 3 + 1e-9
        assert min(top, left) >= 0.0
        assert max(top + height, left + width) <= 1.0 + 1e-9


def test_the_whole_picture_is_the_crop_of_scale_one() -> None:
    images = striped_pictures(3)
    whole = crop_views(images.pixels, images.digests, view=0, seed=0, image_size=32, scale=(1.0, 1.0))
    assert np.array_equal(whole.permute(0, 2, 3, 1).numpy(), images.pixels)


def test_a_crop_depends_on_picture_view_and_seed_alone() -> None:
    images = striped_pictures(4)

    def crop(index: list[int], view: int = 1, seed: int = 0) -> torch.Tensor:
        part = images.subset(index)
        return crop_views(part.pixels, part.digests, view=view, seed=seed, image_size=32, scale=(0.3, 1.0))

    assert torch.equal(crop([0, 1, 2, 3])[2], crop([2])[0])
    assert not torch.equal(crop([2]), crop([2], view=2))
    assert not torch.equal(crop([2]), crop([2], seed=1))
