"""A worse student and a bad quantisation are stopped, with the rule named: real files, real answers, real gate.

The students here look at one thing, how bright a picture is, and refer what is brighter than a bar. So it is known
exactly whom a student with a higher bar misses.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from eyebright_common.errors import ReleaseError
from eyebright_common.imaging import PREPROCESSING_ID
from eyebright_common.release import MODEL_FILE, Eye, Lineage, Metrics, Preprocessing, Release, read_gate, read_release
from eyebright_common.tasks import get_task
from eyebright_learning.models import Student
from eyebright_server.release import variants
from eyebright_server.release.build import build_release
from eyebright_server.release.candidate import ReleaseRequest
from eyebright_server.release.policy import gate_policy
from eyebright_server.release.reference_runtime import ReferenceRuntime
from eyebright_server.release.site_evidence import About, Answered, Role, evidence_of
from release_folders import threshold

TASK = get_task("oct-dme")
SIZE = 32
HEALTHY, ILL, FAINT = 60, 200, 140  # brightness; a faint sign is above the bar of 128 and below that of 150


class BrightnessStudent(Student):
    """Refers what is brighter than ``bar`` of 255."""

    def __init__(self, bar: float) -> None:
        super().__init__("brightness")
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.fc = nn.Linear(8, 2)
        with torch.no_grad():
            self.stem.weight.fill_(1.0 / 27.0)
            self.fc.weight.copy_(torch.tensor([[-1.0], [1.0]]).expand(2, 8))
            self.fc.bias.zero_()
            level = self.features(torch.full((1, 3, SIZE, SIZE), bar))
            self.fc.bias.copy_(torch.tensor([level, -level]))
        self.eval()

    def features(self, x: Tensor) -> float:
        return float(self.fc.weight[1] @ self.maps(self.normalise(x))[0].mean(dim=(2, 3))[0])

    @property
    def head(self) -> nn.Linear:
        return self.fc

    def maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = torch.relu(self.stem(x) + 3.0)
        return features, features


def pictures(brightness: int, count: int, seed: int = 0) -> np.ndarray:
    """Grey pictures [N, S, S, 3] of about this brightness."""
    noise = np.random.default_rng(seed).integers(-3, 4, (count, SIZE, SIZE, 3))
    return (brightness + noise).astype(np.uint8)


# Of 100 ill patients in the south 6 have a faint sign; in the north nobody has.
SITES = {
    "north": ((ILL, 1, 400), (HEALTHY, 0, 400)),
    "south": ((ILL, 1, 94), (FAINT, 1, 6), (HEALTHY, 0, 100)),
}


def answers(folder: Path) -> dict[str, list[tuple[int, np.ndarray]]]:
    """What a release says of every patient: one picture of each kind stands for all of it."""
    runtime = ReferenceRuntime(folder / MODEL_FILE)
    return {
        site: [
            (label, logits)
            for brightness, label, count in groups
            for logits in np.repeat(runtime.logits_of(pictures(brightness, 1).transpose(0, 3, 1, 2)), count, axis=0)
        ]
        for site, groups in SITES.items()
    }


def measured(folder: Path, release: Release, *, others: dict[Role, Path]):
    now, before = answers(folder), {role: answers(path) for role, path in others.items()}
    return [
        evidence_of(
            [
                Answered(
                    patient=str(n),
                    eye=Eye.RIGHT,
                    label=label,
                    candidate=logits,
                    others={role: found[site][n][1] for role, found in before.items()},
                )
                for n, (label, logits) in enumerate(now[site])
            ],
            About(
                site=site,
                task=TASK,
                release=release,
                model_sha256=release.artefact(MODEL_FILE).sha256,
                others={role: read_release(path) for role, path in others.items()},
                data_digest=site,
                shortcut="none",
            ),
        )
        for site in SITES
    ]


def request(version: str, **changes: object) -> ReleaseRequest:
    parent = None if version == "1" else str(int(version) - 1)
    made = ReleaseRequest(
        version=version,
        task=TASK,
        preprocessing=Preprocessing(id=PREPROCESSING_ID, image_size=SIZE),
        threshold=threshold(),
        temperature=1.0,
        metrics=Metrics(split="validation", overall={}),
        lineage=Lineage(rounds=1, best_round=1, code_version="0.1.0", parent=parent),
        golden_pixels=np.concatenate([pictures(HEALTHY, 2), pictures(ILL, 2)]),
    )
    return replace(made, **changes)


# Scores of a picture's brightness say nothing about how sure one may be; the other rules are the default's.
POLICY = replace(gate_policy(), never_blocks=gate_policy().never_blocks | {"calibration_error", "calibration_slope"})


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("releases")
    measure = partial(measured, others={})
    return build_release(out, BrightnessStudent(128), request("1"), policy=POLICY, measure=measure, looks=1).folder


def build(out: Path, first: Path, student: Student, **changes: object):
    return build_release(
        out,
        student,
        request("2", incumbent=first, **changes),
        policy=POLICY,
        measure=partial(measured, others={"incumbent": first, "first": first}),
        first="1",
        looks=2,
    )


def test_a_student_as_good_as_the_one_before_passes_the_default_policy(first: Path, tmp_path: Path) -> None:
    assert build(tmp_path, first, BrightnessStudent(129)).gate.passed


def test_sensitivity_down_by_six_hundredths_at_one_site_is_stopped_there_and_by_name(
    first: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        ReleaseError, match=r"the gate blocks this release: site_harm \(south\): .*0\.06 \(limit 0\.05\)"
    ):
        build(tmp_path, first, BrightnessStudent(150))
    blocked = read_gate(tmp_path / "2.blocked")
    assert [rule.title for rule in blocked.blocking] == ["site_harm (south)"]
    assert [path.name for path in tmp_path.iterdir()] == ["2.blocked"]


def test_a_student_that_misses_everywhere_is_stopped_by_the_paired_rules(first: Path, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="noninferior_sensitivity"):
        build(tmp_path, first, BrightnessStudent(220), must_refer=[False] * 4)


def test_a_student_that_misses_a_case_nobody_may_miss_is_stopped(first: Path, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="must_refer"):
        build(tmp_path, first, BrightnessStudent(220), must_refer=[False, False, True, True])


def test_a_bad_quantisation_is_withheld_by_name_and_the_release_goes_out_without_it(
    first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = variants._quantised

    def blunt(data: bytes, pixels: np.ndarray) -> onnx.ModelProto:
        """As if calibrated on pictures ten times too dark: whatever is bright is cut off."""
        model = honest(data, pixels)
        for tensor in model.graph.initializer:
            scale = numpy_helper.to_array(tensor)
            if tensor.name.endswith("_scale") and scale.size == 1:
                tensor.CopyFrom(numpy_helper.from_array((scale / 10).astype(np.float32), tensor.name))
        return model

    monkeypatch.setattr(variants, "_quantised", blunt)
    built = build(tmp_path, first, BrightnessStudent(128))
    (rule,) = [rule for rule in built.gate.rules if rule.name == "variant_int8"]
    assert (rule.verdict, rule.blocks) == ("fail", False)
    assert [variant.precision for variant in built.release.variants] == ["fp16"]
    assert not (built.folder / "model.int8.onnx").exists()
    assert "withheld" in (built.folder / "card.md").read_text()
