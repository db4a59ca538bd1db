"""A release folder appears whole and gated, or not at all."""

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from eyebright_common.errors import ExportError, ReleaseError
from eyebright_common.imaging import PREPROCESSING_ID
from eyebright_common.release import Lineage, Metrics, Preprocessing, Release, prove, read_golden, read_release
from eyebright_common.tasks import get_task
from eyebright_server.release import build
from eyebright_server.release.build import open_release
from eyebright_server.release.candidate import ReleaseRequest
from eyebright_server.release.card import SiteData
from eyebright_server.release.export import export_student
from eyebright_server.release.policy import gate_policy
from eyebright_server.release.reference_runtime import ReferenceRuntime
from gate_evidence import against, site
from release_folders import threshold
from tiny_student import TinyStudent

SIZE = 32
build_release = partial(build.build_release, policy=gate_policy("rehearsal"))
METRICS = {
    "accuracy": 0.8,
    "balanced_accuracy": 0.7,
    "macro_auroc": 0.9,
    "ece": 0.05,
    "referable": {"auroc": 0.95, "sensitivity": 0.9, "specificity": 0.8, "threshold": 0.5},
    "n": 40,
}


@pytest.fixture(scope="module")
def student() -> TinyStudent:
    return TinyStudent()


@pytest.fixture(scope="module")
def request_() -> ReleaseRequest:
    return ReleaseRequest(
        version="1",
        task=get_task("fundus"),
        preprocessing=Preprocessing(id=PREPROCESSING_ID, image_size=SIZE),
        threshold=threshold(),
        temperature=1.5,
        metrics=Metrics(split="validation", overall=METRICS, sites={"north": METRICS}),
        lineage=Lineage(rounds=3, best_round=2, code_version="0.1.0", participants=("a" * 64, "b" * 64)),
        golden_pixels=np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8),
        sites=(SiteData(name="north", train=30, validation=10, labels={"normal": 25, "glaucoma": 15}),),
        limits=("Synthetic pictures only.",),
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, student, request_):
    return build_release(tmp_path_factory.mktemp("releases"), student, request_)


def test_a_built_release_reads_back_verified(built) -> None:
    assert built.folder.name == "1"
    assert open_release(built.folder) == built


def test_it_holds_the_files_of_a_release_and_nothing_else(built) -> None:
    names = {file.name for file in built.folder.iterdir()}
    models = {"model.onnx", "model.fp16.onnx", "model.int8.onnx", "golden.npz"}
    documents = {"card.md", "modifications.md", "protocol.md", "impact.md", "monitoring.md"}
    assert names == models | documents | {"release.json", "gate.json", "gate.html"}
    assert {artefact.name for artefact in built.release.artefacts} == names - {"release.json"}


def test_it_proves_its_own_golden_cases(built) -> None:
    golden = read_golden(built.folder, built.release)
    report = prove(ReferenceRuntime(built.folder / "model.onnx").run, golden)
    assert (report.passed, report.max_abs_logit_difference) == (True, 0.0)


def test_clear_referrals_among_the_golden_cases_become_must_refer(built) -> None:
    golden = read_golden(built.folder, built.release)
    np.testing.assert_array_equal(golden.must_refer, golden.scores >= golden.threshold + golden.band)


def test_a_student_in_training_is_left_in_training(student) -> None:
    student.train()
    export_student(student, image_size=SIZE)
    assert student.training


def test_the_map_averages_to_the_logits_without_the_bias(built, student) -> None:
    runtime = ReferenceRuntime(built.folder / "model.onnx")
    image = np.random.default_rng(1).integers(0, 256, (1, 3, SIZE, SIZE)).astype(np.float32)
    logits, cam = runtime.run(image)
    np.testing.assert_allclose(cam.mean(axis=(2, 3)) + student.head.bias.detach().numpy(), logits, atol=1e-4)


def test_the_file_says_nothing_about_the_machine_that_made_it(built) -> None:
    data = (built.folder / "model.onnx").read_bytes()
    assert b".py" not in data
    assert b"stack_trace" not in data


def test_weights_carry_the_names_of_the_students_state(built) -> None:
    names = {tensor.name for tensor in onnx.load(built.folder / "model.onnx").graph.initializer}
    assert {"stem.weight", "stem.weight_bias", "fc.weight", "fc.bias", "cam.weight", "normalise.scale"} <= names


def test_the_exporter_is_silent(student, capfd: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        export_student(student, image_size=SIZE)
    out, err = capfd.readouterr()
    assert (out, err, caplog.records) == ("", "", [])


def test_the_card_can_be_read_by_a_person(built) -> None:
    card = (built.folder / "card.md").read_text()
    for words in (
        "Research use. Not for diagnosis.",
        "Diabetic retinopathy, glaucoma and cataract",
        "| north | 30 | 10 | 25 | 0 | 15 | 0 |",
        "| **all** | 40 | 0.700 | 0.900 | 0.950 | 0.900 | 0.800 | 0.050 |",
        "**0.5000** (temperature 1.5000)",
        "Synthetic pictures only.",
        "2 of 3",
        built.release.artefact("model.onnx").sha256,
    ):
        assert words in card


def test_building_the_same_release_again_changes_nothing(built, student, request_) -> None:
    before = (built.folder / "release.json").stat().st_mtime_ns
    again = build_release(built.folder.parent, student, request_)
    assert again == built
    assert (built.folder / "release.json").stat().st_mtime_ns == before


def test_another_release_under_a_used_version_is_refused(built, request_) -> None:
    with pytest.raises(ReleaseError, match=r"already taken.*next version"):
        build_release(built.folder.parent, TinyStudent(seed=1), request_)
    assert open_release(built.folder) == built


def test_a_failed_gate_leaves_its_report_and_no_release(tmp_path: Path, built, student, request_) -> None:
    worse = replace(
        request_, version="2", incumbent=built.folder, lineage=request_.lineage.model_copy(update={"parent": "1"})
    )

    def measured(folder, release):
        return [site(against={"incumbent": against("1", missed=30)})]

    with pytest.raises(ReleaseError, match=r"noninferior_sensitivity \(incumbent, release 1\)"):
        build_release(tmp_path, student, worse, measure=measured)
    left = [str(p.relative_to(tmp_path)) for p in sorted(tmp_path.rglob("*"))]
    assert left == ["2.blocked", "2.blocked/gate.html", "2.blocked/gate.json"]


def test_a_variant_that_loses_too_much_is_not_in_the_release_and_the_card_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, student, request_
) -> None:
    from eyebright_server.release import variants

    def coarse(data: bytes, pixels) -> onnx.ModelProto:
        model = honest(data, pixels)
        for tensor in model.graph.initializer:  # scales ten times too large: hardly a level is left
            if tensor.name.endswith("_scale"):
                tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) * 10, tensor.name))
        return model

    honest = variants._quantised
    monkeypatch.setattr(variants, "_quantised", coarse)
    built = build_release(tmp_path, student, replace(request_, threshold=threshold(0.53)))
    (rule,) = [rule for rule in built.gate.rules if rule.name == "variant_int8"]
    assert (rule.verdict, rule.blocks) == ("fail", False)
    assert [variant.precision for variant in built.release.variants] == ["fp16"]
    assert not (built.folder / "model.int8.onnx").exists()
    assert "withheld: mean score difference" in (built.folder / "card.md").read_text()


def test_a_must_refer_case_that_the_student_misses_blocks_the_release(tmp_path: Path, student, request_) -> None:
    strict = replace(request_, threshold=threshold(1.0), must_refer=[True] * 4)
    with pytest.raises(ReleaseError, match="must_refer"):
        build_release(tmp_path, student, strict)


def test_a_student_that_diverged_cannot_be_exported(tmp_path: Path, request_) -> None:
    broken = TinyStudent()
    with torch.no_grad():
        broken.fc.weight.fill_(float("nan"))
    with pytest.raises(ExportError, match=r"not finite numbers: .*fc\.weight"):
        build_release(tmp_path, broken, request_)
    assert list(tmp_path.iterdir()) == []


def test_a_draft_of_a_killed_build_is_cleared(tmp_path: Path, student, request_) -> None:
    (tmp_path / ".1.draft").mkdir()
    (tmp_path / ".1.draft" / "half").write_bytes(b"half a model")
    build_release(tmp_path, student, request_)
    assert [p.name for p in tmp_path.iterdir()] == ["1"]


@pytest.mark.parametrize("shape", [(0, SIZE, SIZE, 3), (4, 3, SIZE, SIZE), (4, 16, 16, 3)])
def test_golden_pictures_of_another_shape_are_refused(tmp_path: Path, student, request_, shape) -> None:
    with pytest.raises(ReleaseError, match="golden pictures must be"):
        build_release(tmp_path, student, replace(request_, golden_pixels=np.zeros(shape, np.uint8)))


@pytest.mark.parametrize("parent", ["1", "2"])
def test_a_version_must_be_above_its_parents(tmp_path: Path, student, request_, parent: str) -> None:
    lineage = request_.lineage.model_copy(update={"parent": parent})
    with pytest.raises(ReleaseError, match="above its parent's"):
        build_release(tmp_path, student, replace(request_, lineage=lineage))


def test_release_json_lists_classes_in_logit_order(built) -> None:
    release: Release = read_release(built.folder)
    assert release.classes == get_task("fundus").classes
    assert release.referable_mask == get_task("fundus").referable_mask
