"""What gives a label away without a look at the retina, and how loudly that is said."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from eyebright_common.errors import InputError
from eyebright_common.tasks import get_task
from eyebright_learning.audit import (
    AuditTable,
    Level,
    audit,
    predict_from_measurements,
    predict_from_names,
    shared_information,
)
from eyebright_learning.evaluation import Cases, estimates
from eyebright_learning.evaluation.cases import Criteria

FUNDUS = get_task("fundus")
# Every class of the widely copied Kaggle set comes from another collection.
KAGGLE = {0: "odir", 1: "eyepacs", 2: "harvard", 3: "cataract-set"}


def table(labels: np.ndarray, sites: list[str], *, seed: int = 0, **columns: object) -> AuditTable:
    """A table in which only what is given has anything to do with the label."""
    generator = np.random.default_rng(seed)
    N = len(labels)
    usual: dict[str, object] = {
        "groups": np.arange(N) // 2,
        "cameras": ("",) * N,
        "file": generator.normal(0, 1, (N, 2)),
        "shape": np.zeros((N, 3)),
        "colour": generator.normal(0, 1, (N, 6)),
    }
    return AuditTable(task=FUNDUS, labels=labels, sites=tuple(sites), **{**usual, **columns})


def clue(found, name: str):
    return next(one for one in found.clues if one.name == name)


def mixed_sites(count: int = 400, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    generator = np.random.default_rng(seed)
    return generator.integers(0, 4, count), generator.choice(["north", "south"], count).tolist()


def test_a_set_whose_every_class_has_its_own_source_is_called_that_loudly() -> None:
    labels = np.arange(200) // 2 % 4
    found = audit(table(labels, [KAGGLE[int(label)] for label in labels]), replicates=100)
    assert found.level is Level.CLASS_IS_SOURCE
    assert "CLASS IS SOURCE" in found.headline
    assert "no accuracy on this data means anything" in found.sentences[0]
    assert set(found.exclusive_classes) == set(FUNDUS.classes)
    assert clue(found, "site").balanced_accuracy.value == 1.0
    assert found.shared.share == pytest.approx(1.0)


def test_one_class_from_a_source_of_its_own_is_a_strong_shortcut() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 4, 400)
    sites = ["eyepacs" if label == 1 else str(generator.choice(["north", "south"])) for label in labels]
    found = audit(table(labels, sites), replicates=100)
    assert (found.level, found.exclusive_classes) == (Level.STRONG, ("diabetic_retinopathy",))
    assert "every picture of diabetic retinopathy" in " ".join(found.sentences)


def test_sites_with_the_same_mix_give_nothing_away() -> None:
    found = audit(table(*mixed_sites()), replicates=200)
    assert (found.level, found.exclusive_classes) == (Level.NONE, ())
    assert found.sentences == (
        "Neither source nor file nor image statistics predict the label much better than a guess.",
    )
    assert clue(found, "site").balanced_accuracy.value == pytest.approx(0.25, abs=0.06)
    assert clue(found, "image_statistics").macro_auroc.value == pytest.approx(0.5, abs=0.06)


def test_a_camera_that_tells_the_label_is_named_with_its_figure_and_chance() -> None:
    labels, sites = mixed_sites()
    cameras = tuple("old" if label > 1 else "new" for label in labels)
    found = audit(table(labels, sites, cameras=cameras), replicates=200)
    assert found.level is Level.STRONG
    # Two cameras can tell two of four classes: half of the pictures.
    assert clue(found, "camera").balanced_accuracy.value == pytest.approx(0.5, abs=0.05)
    (said,) = found.sentences
    assert said.startswith("Camera alone predicts the label at 0.5")
    assert said.endswith("chance 0.25): a model can score high without seeing disease.")


def test_file_size_that_tells_the_label_is_found() -> None:
    labels, sites = mixed_sites()
    size = np.stack([labels + np.random.default_rng(1).normal(0, 0.2, len(labels)), np.ones(len(labels))], axis=1)
    found = audit(table(labels, sites, file=size), replicates=100)
    assert clue(found, "file").balanced_accuracy.value > 0.9
    assert found.level is Level.STRONG


def test_image_statistics_may_hold_disease_and_are_only_a_reason_to_look() -> None:
    labels, sites = mixed_sites()
    colour = np.eye(6)[labels] + np.random.default_rng(1).normal(0, 0.1, (len(labels), 6))
    found = audit(table(labels, sites, colour=colour), replicates=100)
    assert clue(found, "image_statistics").balanced_accuracy.value > 0.9
    assert found.level is Level.WEAK
    assert "may be disease itself" in found.sentences[0]


def test_a_spread_without_a_shift_is_found_too() -> None:
    labels, sites = mixed_sites()
    shape = np.where(labels > 1, 3.0, 0.1)[:, None] * np.random.default_rng(2).normal(0, 1, (len(labels), 1))
    assert clue(audit(table(labels, sites, shape=shape), replicates=50), "shape").excess > 0.2


def test_patients_are_never_on_both_sides() -> None:
    # Every patient has a colour of their own and a label drawn by lot: only memory could tell.
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 10)
    labels, own = generator.integers(0, 4, 40)[groups], generator.normal(0, 1, (40, 6))[groups]
    found = audit(table(labels, ["a", "b"] * 200, groups=groups, colour=own), replicates=100)
    assert not clue(found, "image_statistics").beats_chance


def test_what_the_manifest_does_not_say_is_not_measured_and_says_why() -> None:
    labels, _ = mixed_sites()
    found = audit(table(labels, [""] * len(labels), cameras=("x",) * len(labels)), replicates=10)
    assert (clue(found, "site").balanced_accuracy, clue(found, "site").why_not) == (None, "the manifest names no site")
    assert clue(found, "camera").why_not == "there is one camera only"
    assert clue(found, "shape").why_not == "picture shape is the same for all pictures"
    assert found.shared is None


def test_excess_is_zero_for_a_guess_and_one_for_certainty() -> None:
    known = clue(audit(table(*mixed_sites()), replicates=10), "site")
    for value, excess in ((0.25, 0.0), (1.0, 1.0), (0.625, 0.5)):
        estimate = replace(known.balanced_accuracy, value=value)
        assert replace(known, balanced_accuracy=estimate).excess == pytest.approx(excess)


def test_names_predict_the_class_that_is_common_under_them_with_equal_priors() -> None:
    # 90 of 100 pictures are normal, but at site b half of the ill are found and few of the healthy.
    labels = np.array([0] * 90 + [1] * 10)
    names = ["a"] * 80 + ["b"] * 10 + ["b"] * 8 + ["a"] * 2
    p = predict_from_names(names, labels, np.arange(100), classes=4)
    assert p[:, 2:].max() == 0.0  # classes that nobody has are never answered
    assert p.argmax(axis=1).tolist() == [0] * 80 + [1] * 18 + [0] * 2
    assert p.sum(axis=1) == pytest.approx(1.0)


def test_a_name_never_seen_before_predicts_nothing() -> None:
    labels = np.arange(40) % 2
    p = predict_from_names([str(i) for i in range(40)], labels, np.arange(40), classes=2)
    assert p == pytest.approx(np.full((40, 2), 0.5))


def test_a_class_that_lies_in_one_fold_only_is_no_crash() -> None:
    labels = np.array([0] * 20 + [1])
    p = predict_from_measurements(np.arange(21.0)[:, None], labels, np.arange(21), classes=4)
    assert p[20].tolist() == [1.0, 0.0, 0.0, 0.0]


def test_information_in_closed_form() -> None:
    same = shared_information(["x", "y"] * 500, ["a", "b"] * 500)
    assert (same.label_bits, same.bits) == (1.0, pytest.approx(1.0, abs=1e-3))
    assert same.share == pytest.approx(1.0, abs=1e-3)
    apart = shared_information(["x", "x", "y", "y"] * 100, ["a", "b"] * 200)
    assert (apart.bits, apart.share) == (0.0, 0.0)
    # p(y | a) = 1/4, p(y | b) = 3/4: 1 - H(1/4) bits.
    quarter = shared_information(["x", "x", "x", "y"] * 1000 + ["y", "y", "y", "x"] * 1000, ["a"] * 4000 + ["b"] * 4000)
    assert quarter.bits == pytest.approx(1 - 0.811278, abs=1e-3)


def test_many_small_sources_do_not_look_informative_by_chance() -> None:
    generator = np.random.default_rng(0)
    labels = generator.choice(["x", "y"], 300).tolist()
    sources = generator.choice([str(i) for i in range(60)], 300).tolist()
    assert shared_information(labels, sources).share < 0.05


def test_one_label_has_no_information_to_share() -> None:
    assert shared_information(["x", "x"], ["a", "b"]).share is None
    assert shared_information([], []).share is None


def test_a_verdict_is_plain_json_with_the_limits_it_goes_by() -> None:
    found = json.loads(json.dumps(audit(table(*mixed_sites()), replicates=10).to_dict(), allow_nan=False))
    assert found["schema"] == "eyebright.audit/1"
    assert found["limits"] == {"class_is_source_share": 0.9, "strong_excess": 0.25, "weak_excess": 0.1}
    assert sum(count for site in found["sites"].values() for count in site.values()) == found["images"] == 400


def test_the_same_table_gives_the_same_verdict() -> None:
    assert audit(table(*mixed_sites()), replicates=20) == audit(table(*mixed_sites()), replicates=20)


def test_one_class_or_too_few_patients_are_refused() -> None:
    with pytest.raises(InputError, match="two classes"):
        audit(table(np.zeros(20, dtype=int), ["a"] * 20))
    with pytest.raises(InputError, match="at least 5 patients"):
        audit(table(np.arange(8) % 2, ["a"] * 8))


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(InputError, match="differ in length"):
        table(np.arange(8) % 2, ["a"] * 7)


def test_the_figure_of_a_clue_is_that_of_its_out_of_fold_answers() -> None:
    labels, sites = mixed_sites()
    sites = [site if label else "north" for site, label in zip(sites, labels, strict=True)]
    rows = table(labels, sites)
    p = predict_from_names(sites, labels, rows.groups, classes=4)
    cases = Cases.of(p, labels, groups=rows.groups, task=FUNDUS)
    expected = estimates({"site": cases}, Criteria(), replicates=50)["site"]
    assert clue(audit(rows, replicates=50), "site").balanced_accuracy == expected["balanced_accuracy"]


def test_auditing_never_loads_torch() -> None:
    code = "import sys, eyebright_learning.audit; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
