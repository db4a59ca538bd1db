"""Pictures for a teacher: every row is accounted for, and nothing that belongs together is parted."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from command_line import run_command
from eyebright_common.errors import InputError
from eyebright_server.teacher.facts import PreparedFacts, read_facts, read_part
from eyebright_server.teacher.preparing import prepare_labelled, shares_of
from eyebright_server.teacher.unlabelled import prepare_unlabelled
from retina_pictures import nothing_to_see, retina, save_picture

CLASSES = ("normal", "glaucoma")
PATIENTS, SIDE = 12, 160


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve patients with two eyes each; a dark picture, a missing file, a row without a grade."""
    root = tmp_path_factory.mktemp("data")
    rows = ["image_path,modality,label,patient_id,eye"]
    for number in range(2 * PATIENTS):
        save_picture(root / f"{number}.png", retina(SIDE, seed=number))
        rows.append(f"{number}.png,CFP,{CLASSES[number // 2 % 2]},p{number // 2},{'RL'[number % 2]}")
    save_picture(root / "dark.png", nothing_to_see(SIDE))
    save_picture(root / "ungraded.png", retina(SIDE, seed=99))
    rows += ["dark.png,CFP,normal,p1,R", "absent.png,CFP,normal,p2,R", "ungraded.png,CFP,,p3,R"]
    path = root / "manifest.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def prepare(manifest: Path, out: Path, *, seed: int = 0) -> PreparedFacts:
    shares = shares_of(validation=0.25, test=0.25)
    return prepare_labelled(manifest, out, task="fundus", image_size=48, shares=shares, seed=seed, workers=1)


@pytest.fixture(scope="module")
def prepared(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prepared")
    prepare(manifest, out)
    return out


def test_every_row_is_in_one_part_or_in_one_bucket(prepared: Path) -> None:
    facts = read_facts(prepared)
    assert facts.rows == 2 * PATIENTS + 3
    assert sum(part.pictures for part in facts.parts.values()) + sum(facts.left_out.values()) == facts.rows
    assert {"file_missing": 1, "label_missing": 1}.items() <= facts.left_out.items()
    assert sum(count for reason, count in facts.left_out.items() if reason.startswith("ungradable:")) == 1


def test_no_patient_and_no_group_is_in_two_parts(prepared: Path) -> None:
    facts = read_facts(prepared)
    parts = [read_part(prepared, facts, part) for part in ("train", "validation", "test")]
    for of in ("patients", "groups"):
        sets = [set(np.asarray(getattr(part, of)).tolist()) for part in parts]
        assert sum(map(len, sets)) == len(set.union(*sets))


def test_the_facts_count_what_the_parts_hold(prepared: Path) -> None:
    facts = read_facts(prepared)
    train = read_part(prepared, facts, "train")
    counts = np.bincount(train.labels, minlength=len(facts.classes))
    assert facts.parts["train"].labels == dict(zip(facts.classes, counts.tolist(), strict=True))
    assert facts.parts["train"].pictures == len(train)


def test_the_same_seed_gives_the_same_parts_and_another_seed_gives_others(manifest: Path, tmp_path: Path) -> None:
    first, again = prepare(manifest, tmp_path / "a"), prepare(manifest, tmp_path / "b")
    assert first == again
    assert prepare(manifest, tmp_path / "c", seed=1).parts["train"].sha256 != first.parts["train"].sha256


def test_names_of_what_was_left_out_are_for_this_account_only(prepared: Path) -> None:
    names = prepared / "left_out.local.json"
    assert {"file": "absent.png", "reason": "file_missing"} in json.loads(names.read_text())
    assert names.stat().st_mode & 0o077 == 0
    assert "absent.png" not in (prepared / "facts.json").read_text()


def test_a_part_that_was_swapped_is_refused(prepared: Path, tmp_path: Path) -> None:
    facts = read_facts(prepared)
    (tmp_path / "train.npz").write_bytes((prepared / "validation.npz").read_bytes())
    with pytest.raises(InputError, match="not the ones that facts"):
        read_part(tmp_path, facts, "train")


def test_a_folder_that_was_not_prepared_to_its_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="teacher prepare"):
        read_facts(tmp_path)


@pytest.mark.parametrize(("validation", "test"), [(0.0, 0.2), (0.6, 0.4), (0.2, -0.1)])
def test_shares_that_leave_a_part_empty_are_refused(validation: float, test: float) -> None:
    with pytest.raises(InputError, match="validation needs a share"):
        shares_of(validation=validation, test=test)


def test_a_test_part_is_optional() -> None:
    assert list(shares_of(validation=0.2, test=0.0)) == ["train", "validation"]


def test_pictures_without_labels_are_found_at_any_depth(tmp_path: Path) -> None:
    source = tmp_path / "archive"
    save_picture(source / "2019" / "a.png", retina(SIDE, seed=1))
    save_picture(source / "b.png", retina(SIDE, seed=2))
    (source / "notes.txt").write_text("no picture")
    facts = prepare_unlabelled(source, tmp_path / "out", task="fundus", image_size=48, apart_from=None, workers=1)
    images = read_part(tmp_path / "out", facts, "unlabelled")
    assert (facts.rows, facts.left_out) == (3, {"not_a_picture_file": 1})
    assert images.labels.tolist() == [-1, -1]


def test_a_copy_of_a_held_out_picture_is_not_pre_trained_on(prepared: Path, tmp_path: Path) -> None:
    facts = read_facts(prepared)
    held_out = read_part(prepared, facts, "test").patients[0]
    number = 2 * int(held_out.removeprefix("p"))
    source = tmp_path / "archive"
    copy = save_picture(source / "copy.jpg", retina(SIDE, seed=number))
    assert cv2.imread(str(copy)) is not None
    for seed in (201, 202):
        save_picture(source / f"{seed}.png", retina(SIDE, seed=seed))
    found = prepare_unlabelled(source, tmp_path / "out", task="fundus", image_size=48, apart_from=prepared, workers=1)
    assert found.left_out == {"copy_of_a_held_out_picture": 1}
    assert read_part(tmp_path / "out", found, "unlabelled").patients == ("201.png", "202.png")


def test_the_command_prints_the_parts_and_refuses_to_write_over_them(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("server", "teacher", "prepare", "--data", manifest, "--image-size", 48, "--out", tmp_path, "--workers", 1)
    code, printed, _ = run_command(capsys, *words)
    assert code == 0
    assert "Left out: 3" in printed
    code, _, problem = run_command(capsys, *words)
    assert code == 2
    assert "in use" in problem
    code, printed, _ = run_command(capsys, *words, "--force", "--json", "--test", 0)
    assert code == 0
    assert list(json.loads(printed)["parts"]) == ["train", "validation"]
    assert not (tmp_path / "test.npz").exists()
