"""A hospital prepares its pictures for rounds: everything is used or counted, and no name leaves the local list."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from command_line import run_command
from eyebright_client.app.site import Site
from eyebright_client.enrolment import HospitalHome, Membership
from eyebright_learning.data import PreparedImages
from pictures import encoded, eye


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


def test_data_that_fills_no_part_is_refused_and_the_old_parts_stay(home, tmp_path, capsys):
    (home.site / "train.npz").write_bytes(b"the old one")
    data = folder_per_class(tmp_path / "data", 1)
    words = ("client", "prepare", data, "--home", home.root, "--image-size", 32, "--workers", 1)
    assert run_command(capsys, *words)[0] == 2
    assert (home.site / "train.npz").read_bytes() == b"the old one"
