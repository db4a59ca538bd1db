"""A cohort on disk: the same from the same seed, whole or not there, and listed without a gap."""

import csv
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from eyebright_common.errors import InputError, OutputInUse
from eyebright_simulations.cohorts import SiteSpec, default_sites, generate
from eyebright_simulations.cohorts.generation import COLUMNS

SIZE = 96


def few(task_name="fundus", patients=4, hospitals=1) -> list[SiteSpec]:
    return [replace(site, patients=patients) for site in default_sites(hospitals, task_name=task_name)]


def rows_of(manifest: Path) -> list[dict[str, str]]:
    with manifest.open(newline="") as file:
        return list(csv.DictReader(file))


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("task_name", ["fundus", "oct"])
def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_workers(tmp_path, task_name):
    for name, workers in (("one", 1), ("three", 3)):
        generate(task_name, tmp_path / name, seed=5, sites=few(task_name), image_size=SIZE, workers=workers)
    assert content_of(tmp_path / "one") == content_of(tmp_path / "three")


def test_another_seed_gives_other_pictures(tmp_path):
    for seed in (5, 6):
        generate("fundus", tmp_path / str(seed), seed=seed, sites=few(), image_size=SIZE)
    first, second = (content_of(tmp_path / str(seed)) for seed in (5, 6))
    assert not {first[name] for name in first if name.endswith(".jpg")} & set(second.values())


def test_another_hospital_does_not_change_the_pictures_of_the_others(tmp_path):
    for name, hospitals in (("small", 1), ("large", 2)):
        generate("fundus", tmp_path / name, seed=5, sites=few(hospitals=hospitals, patients=2), image_size=SIZE)
    small, large = content_of(tmp_path / "small"), content_of(tmp_path / "large")
    assert all(large[name] == content for name, content in small.items() if name.endswith(".jpg"))


@pytest.mark.parametrize(("task_name", "modality"), [("fundus", "CFP"), ("oct", "OCT")])
def test_the_manifest_lists_every_picture_once(tmp_path, task_name, modality):
    manifest = generate(task_name, tmp_path / "cohort", seed=5, sites=few(task_name), image_size=SIZE)
    rows = rows_of(manifest)
    assert tuple(rows[0]) == COLUMNS
    assert {row["modality"] for row in rows} == {modality}
    assert Counter(row["image_path"] for row in rows) == Counter(
        str(path.relative_to(manifest.parent)) for path in manifest.parent.rglob("*.jpg")
    )


def test_every_patient_has_two_eyes_at_one_site(tmp_path):
    rows = rows_of(generate("fundus", tmp_path / "cohort", seed=5, sites=few(), image_size=SIZE))
    eyes = Counter((row["patient_id"], row["site"]) for row in rows)
    assert set(eyes.values()) == {2}
    assert len({patient for patient, _ in eyes}) == len(eyes) == 8


def test_no_file_name_tells_the_class(tmp_path):
    rows = rows_of(generate("fundus", tmp_path / "cohort", seed=5, sites=few(), image_size=SIZE))
    assert not any(row["label"] in row["image_path"] for row in rows)


def test_a_cohort_interrupted_half_way_is_not_there_and_can_be_drawn_again(tmp_path):
    def stop(done: int, total: int) -> None:
        if done >= 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate("fundus", tmp_path / "cohort", seed=5, sites=few(), image_size=SIZE, on_progress=stop)
    assert not (tmp_path / "cohort").exists()
    again = generate("fundus", tmp_path / "cohort", seed=5, sites=few(), image_size=SIZE)
    straight = generate("fundus", tmp_path / "straight", seed=5, sites=few(), image_size=SIZE)
    assert content_of(again.parent) == content_of(straight.parent)


def test_what_a_killed_attempt_left_behind_does_not_get_into_the_cohort(tmp_path):
    leftover = tmp_path / ".cohort.part" / "images" / "operator" / "operator-9999_R.jpg"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"half a pict")
    manifest = generate("fundus", tmp_path / "cohort", seed=5, sites=few(patients=1), image_size=SIZE)
    assert not list(manifest.parent.rglob(leftover.name))
    assert not leftover.exists()


def test_progress_counts_up_to_the_last_picture(tmp_path):
    seen = []
    generate(
        "fundus",
        tmp_path / "cohort",
        seed=5,
        sites=few(),
        image_size=SIZE,
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert len(seen) > 1
    assert seen == sorted(seen)
    assert seen[-1] == (16, 16)


def test_a_folder_in_use_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputInUse):
        generate("fundus", tmp_path, seed=5, sites=few())
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_scanner_cannot_photograph_a_fundus(tmp_path):
    with pytest.raises(InputError, match="operator"):
        generate("fundus", tmp_path / "cohort", seed=5, sites=few("oct"))


def test_a_site_with_a_class_of_another_task_is_refused(tmp_path):
    sites = [replace(site, label_mix={"drusen": 1.0}) for site in few()]
    with pytest.raises(InputError, match="drusen"):
        generate("fundus", tmp_path / "cohort", seed=5, sites=sites)


def test_two_sites_of_one_name_are_refused(tmp_path):
    with pytest.raises(InputError, match="name of its own"):
        generate("fundus", tmp_path / "cohort", seed=5, sites=few()[:1] * 2)


def test_a_task_without_drawings_is_refused(tmp_path):
    with pytest.raises(InputError, match="no-such-task"):
        generate("no-such-task", tmp_path / "cohort", seed=5)
