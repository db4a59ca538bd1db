"""``eyebright client doctor`` as a person at a hospital meets it."""

import csv
import json
import os
import signal
import socket
import stat
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from command_line import run_command
from dicom_objects import OP_8, OPT, write_dicom
from eyebright_client.doctor import Options, examine
from eyebright_common.manifest import read_dataset
from hospital_folders import healthy_folder, read_rows, row, save, write_rows
from pictures import b_scan, encoded, eye

PLANTED = ("Huber", "Maria", "19500317", "MRN0042", "Sankt-Josef", "left_of_huber", "Dr-Eisenbart", "geheim")


def doctor(capsys, data, out, *more):
    return run_command(capsys, "client", "doctor", data, "--out", out, "--no-capacity", "--workers", 1, *more)


def test_a_folder_in_order_exits_with_zero_and_leaves_page_json_and_list(tmp_path, capsys):
    code, printed, _ = doctor(capsys, healthy_folder(tmp_path / "data"), tmp_path / "out")
    assert code == 0
    assert "Will be used / left out, and why" in printed
    result = json.loads((tmp_path / "out/preflight.json").read_text())
    assert (result["schema"], result["used"], result["exit_code"]) == ("eyebright.preflight/1", 12, 0)
    page = (tmp_path / "out/preflight.html").read_text()
    assert "In order" in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    for private in ("preflight.local.csv", "preflight.results"):
        assert stat.S_IMODE((tmp_path / "out" / private).stat().st_mode) == 0o600


def test_a_warning_exits_with_one_and_a_refusal_with_two(tmp_path, capsys):
    folder = tmp_path / "data"
    healthy_folder(folder)
    save(folder, "p/1.png", eye(1, 160), "JPEG", quality=95)
    assert doctor(capsys, folder, tmp_path / "out")[0] == 1
    (folder / "p/5.png").write_bytes(b"")
    code, printed, _ = doctor(capsys, folder, tmp_path / "out")
    assert code == 2
    assert "empty file" in printed


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--server", "nohost"), "no address of a server: nohost"),
        (("--server", "localhost:99999"), "no address of a server: localhost:99999"),
        (("--server", "localhost:1", "--ca", "/nowhere.pem"), "authority cannot be read: /nowhere.pem"),
    ],
)
def test_a_mistake_about_the_server_is_said_before_a_picture_is_looked_at(tmp_path, capsys, words, problem):
    code, out, err = doctor(capsys, healthy_folder(tmp_path / "data"), tmp_path / "out", *words)
    assert (code, out) == (2, "")
    assert problem in err
    assert not (tmp_path / "out").exists()


def test_the_server_is_looked_at_without_the_other_capacity_too(tmp_path, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers here
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, out, _ = doctor(capsys, healthy_folder(tmp_path / "data"), tmp_path / "out", "--server", address)
    assert code == 2
    assert "cannot be reached over TLS" in " ".join(out.split())


def test_results_cannot_go_into_a_file(tmp_path, capsys):
    (tmp_path / "out").touch()
    code, _, err = doctor(capsys, healthy_folder(tmp_path / "data"), tmp_path / "out")
    assert code == 2
    assert "the results need a folder" in err


def test_not_one_usable_row_still_prints_what_is_left_out_and_why(tmp_path, capsys):
    write_rows(tmp_path / "data", [row("gone.png", patient="1"), row("too.png", patient="2", label="glaucoma")])
    code, printed, _ = doctor(capsys, tmp_path / "data", tmp_path / "out")
    assert code == 2
    assert "file missing" in printed


def test_json_alone_is_printed_when_asked_for(tmp_path, capsys):
    code, printed, _ = doctor(capsys, healthy_folder(tmp_path / "data"), tmp_path / "out", "--json")
    assert json.loads(printed)["exit_code"] == code == 0


def test_results_among_the_pictures_are_refused(tmp_path, capsys):
    healthy_folder(tmp_path / "data")
    code, _, problem = doctor(capsys, tmp_path / "data", tmp_path / "data/out")
    assert code == 2
    assert "among the pictures" in problem


def test_a_written_manifest_holds_groups_on_one_side_of_a_split(tmp_path, capsys):
    folder = tmp_path / "data"
    for number in range(24):
        save(folder, f"{('normal', 'cataract', 'glaucoma')[number % 3]}/{number}.png", eye(number, 128))
    save(folder, "normal/copy.jpg", eye(0, 128), "JPEG", quality=92)
    written = folder / "manifest-v1.csv"
    doctor(capsys, folder, tmp_path / "out", "--write-manifest", written, "--resplit")
    manifest, _ = read_dataset(written, task_family="fundus")
    split = {found.name: found.split for found in manifest.rows}
    patient = {found.name: found.patient_id for found in manifest.rows}
    assert split["normal/0.png"] == split["normal/copy.jpg"]
    assert patient["normal/0.png"] == patient["normal/copy.jpg"] != patient["cataract/1.png"]
    assert set(split.values()) == {"train", "validation", "test"}
    assert stat.S_IMODE(written.stat().st_mode) == 0o600


def test_a_dicom_tree_of_volumes_is_examined_frame_by_frame(tmp_path, capsys):
    for number, label in enumerate(("cnv", "drusen", "normal")):
        frames = np.stack([b_scan(10 * number + k)[:, :, 0] for k in range(3)])
        write_dicom(tmp_path / f"disc/{label}/IM{number}", frames, sop=OPT, number=number, PatientID=str(number),
                    PatientName="Huber^Maria", Modality="OPT", Laterality="R")  # fmt: skip
    _, printed, _ = doctor(capsys, tmp_path / "disc", tmp_path / "out", "--json")
    result = json.loads(printed)
    assert (result["layout"], result["task"], result["rows_and_files"]) == ("dicom", "oct-neh", 9)
    identifiers = next(one for one in result["findings"] if one["check"] == "identifiers")
    assert identifiers["numbers"]["in_files"] == {"patient": 9}


def planted_folder(folder):
    """A messy export with everything that must not leave, wherever a person could have written it."""
    healthy_folder(folder)
    exif = Image.Exif()
    exif[0x010E], exif[0x013B] = "Huber Maria 19500317", "Dr-Eisenbart"
    name = "p/Huber_Maria_19500317.jpg"
    (folder / name).write_bytes(encoded(eye(60, 160), "JPEG", exif=exif, comment=b"geheim MRN0042"))
    save(folder, "p/Huber-lost.png", eye(61, 160))
    (folder / "p/left_of_huber.png").write_bytes(b"\x89PNG cut short")
    write_dicom(folder / "p/MRN0042.dcm", eye(62, 160), sop=OP_8, PatientName="Huber^Maria",
                PatientBirthDate="19500317", PatientID="MRN0042", InstitutionName="Sankt-Josef")  # fmt: skip
    more = {"site": "Sankt-Josef", "camera": "Dr-Eisenbart", "split": "geheim"}
    rows = read_rows(folder)
    rows += [row(name, patient="MRN0042", **more), row("p/left_of_huber.png", patient="MRN0042", **more)]
    rows += [row("p/MRN0042.dcm", patient="MRN0042", label="cataract", **more)]
    rows += [row("p/0.png", patient="Huber", label="Huber Maria geheim"), row("../Huber.png", patient="Maria")]
    rows += [row("p/Huber-gone.png", patient="Maria", label="Sankt-Josef geheim")]
    write_rows(folder, rows)
    return folder


@pytest.mark.parametrize("options", [(), ("--task", "fundus"), ("--task", "oct"), ("--sample", "4")])
def test_nothing_planted_is_in_anything_that_may_be_shared(tmp_path, capsys, options):
    folder = planted_folder(tmp_path / "data")
    _, printed, problems = doctor(capsys, folder, tmp_path / "out", *options)
    shared = (tmp_path / "out/preflight.json").read_bytes() + (tmp_path / "out/preflight.html").read_bytes()
    everything = (shared + printed.encode() + problems.encode()).lower()
    assert [word for word in PLANTED if word.lower().encode() in everything] == []
    kept = (tmp_path / "out/preflight.results").read_bytes()
    assert [word for word in PLANTED if word.encode() in kept] == []


def test_the_list_that_stays_names_what_the_page_may_not(tmp_path, capsys):
    doctor(capsys, planted_folder(tmp_path / "data"), tmp_path / "out")
    with (tmp_path / "out/preflight.local.csv").open() as file:
        assert file.readline().startswith("# DO NOT SHARE")
        lines = list(csv.DictReader(file))
    by_what = {line["what"]: line["file"] for line in lines}
    assert by_what["file_without_row"] == "p/Huber-lost.png"
    assert any(line["what"] == "identifiers" and "person" in line["detail"] for line in lines)


@pytest.mark.kill
def test_a_killed_run_goes_on_where_it_was(tmp_path):
    path = healthy_folder(tmp_path / "data", pictures=48, side=96)
    (tmp_path / "out").mkdir()
    script = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom eyebright_client.doctor import Options, examine\n"
        "examine(Path(sys.argv[1]), folder=Path(sys.argv[2]), options=Options(workers=1, capacity=False),\n"
        "        on_progress=lambda done, total: os.kill(os.getpid(), signal.SIGKILL))\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(path), str(tmp_path / "out")], env=os.environ)
    assert killed.returncode == -signal.SIGKILL
    seen = []
    quick = Options(workers=1, capacity=False)
    again = examine(path, folder=tmp_path / "out", options=quick, on_progress=lambda done, total: seen.append(done))
    assert seen == [32, 48]
    (tmp_path / "fresh").mkdir()
    assert again.shareable == examine(path, folder=tmp_path / "fresh", options=quick).shareable


@pytest.mark.slow
def test_several_processes_find_what_one_finds(tmp_path):
    path = healthy_folder(tmp_path / "data", pictures=144, side=64)
    answers = []
    for workers in (1, 2):
        (tmp_path / str(workers)).mkdir()
        options = Options(workers=workers, capacity=False)
        answers.append(examine(path, folder=tmp_path / str(workers), options=options).shareable)
    assert answers[0] == answers[1]


@pytest.mark.shared
@pytest.mark.slow
def test_the_public_photographs_show_their_copies_and_their_shortcut(shared_data, tmp_path):
    options = Options(workers=2, capacity=False, sample=600)
    result = examine(shared_data / "fundus", folder=tmp_path, options=options).shareable
    levels = {one["check"]: one["level"] for one in result["findings"]}
    assert levels["near_copies"] == "stop"
    assert levels["shortcut"] in {"warn", "stop"}
    assert (levels["modality"], levels["burned_in_text"], levels["unreadable"]) == ("ok", "ok", "ok")
