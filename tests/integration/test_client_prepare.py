"""A hospital prepares its pictures for rounds: everything is used or counted, and no name leaves the local list."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from command_line import run_command
from eyebright_client.app.site import Site
from eyebright_client.enrolment import HospitalHome, Membership
from eyebright_client.policy import Policy
from eyebright_common.errors import InputError
from eyebright_common.tasks import get_task
from eyebright_learning.data import PreparedImages
from pictures import encoded, eye
from tiny_federation import tiny_plan


@pytest.fixture
def home(tmp_path: Path) -> HospitalHome:
    place = HospitalHome(tmp_path / "home")
    place.create()
    place.keep(Membership(name="north", site_index=0, fleet_address="127.0.0.1:1"))
    (place.site / "site.json").write_text('{"name": "north", "index": 0}')
    return place


def folder_per_class(folder: Path, count: int) -> Path:
    for number in range(count):
        name = folder / ("normal", "glaucoma")[number % 2] / f"Anna-Muster-{number}.png"
        name.parent.mkdir(parents=True, exist_ok=True)
        name.write_bytes(encoded(eye(seed=number, side=160)))
    (folder / "normal" / "Bernd-Beispiel.png").write_bytes(b"not a picture")
    return folder


def test_pictures_become_parts_that_a_round_can_use(home, tmp_path, capsys):
    data = folder_per_class(tmp_path / "data", 24)
    words = ("client", "prepare", data, "--home", home.root, "--image-size", 32, "--workers", 1)
    code, out, problem = run_command(capsys, *words)
    assert code == 0, problem
    site = Site.open(home.site)
    left = PreparedImages.load(home.site / "test.npz")
    assert site.rows("train") > 0
    assert site.rows("validation") > 0
    assert site.rows("train") + site.rows("validation") + len(left) <= 24
    assert "left out: not_an_image" in out
    assert "Muster" not in out
    assert "Beispiel" not in out
    names = home.site / "left_out.local.json"
    assert "Beispiel" in names.read_text()
    assert stat.S_IMODE(names.stat().st_mode) == 0o600


def test_pictures_of_one_task_are_not_trained_on_for_another(home, tmp_path, capsys):
    """Fundus and OCT have four classes each: the labels of one would be valid numbers in the other."""
    data = folder_per_class(tmp_path / "data", 24)
    words = ("client", "prepare", data, "--home", home.root, "--image-size", 32, "--workers", 1)
    assert run_command(capsys, *words)[0] == 0
    site = Site.open(home.site)
    plan = tiny_plan(task="fundus", classes=get_task("fundus").classes, image_size=32)
    assert len(site.images("train", plan)) == site.rows("train")
    with pytest.raises(InputError, match="prepared for task fundus, the plan is for oct"):
        site.images("train", tiny_plan(task="oct", classes=get_task("oct").classes, image_size=32))
    with pytest.raises(InputError, match="32 px, the plan asks 64 px"):
        site.images("train", plan.model_copy(update={"image_size": 64}))
    (home.site / "prepared.json").write_text("{}")
    with pytest.raises(InputError, match="what the pictures were prepared for cannot be read"):
        site.images("train", plan)


def test_approving_says_what_still_has_to_be_prepared(home, tmp_path, capsys):
    (home.site / "policy.json").write_bytes(Policy().to_json())
    plan = tiny_plan(task="fundus", classes=get_task("fundus").classes, image_size=64)
    (tmp_path / "plan.json").write_text(plan.canonical_json())
    approve = ("client", "approve", tmp_path / "plan.json", "--home", home.root, "--yes")
    code, out, problem = run_command(capsys, *approve)
    assert code == 0, problem
    assert "no pictures are prepared" in out
    assert "--image-size 64 --task fundus" in out
    data = folder_per_class(tmp_path / "data", 24)
    for size, words in ((32, "32 px, the plan asks 64 px"), (64, "")):
        prepare = ("client", "prepare", data, "--home", home.root, "--image-size", size, "--workers", 1)
        assert run_command(capsys, *prepare)[0] == 0
        code, out, _ = run_command(capsys, *approve)
        assert code == 0
        assert ("Not ready yet" in out, words in out) == (bool(words), True)


def test_data_that_fills_no_part_is_refused_and_the_old_parts_stay(home, tmp_path, capsys):
    (home.site / "train.npz").write_bytes(b"the old one")
    data = folder_per_class(tmp_path / "data", 1)
    words = ("client", "prepare", data, "--home", home.root, "--image-size", 32, "--workers", 1)
    assert run_command(capsys, *words)[0] == 2
    assert (home.site / "train.npz").read_bytes() == b"the old one"
