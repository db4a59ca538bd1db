"""A folder per class as a data set."""

import pytest

from eyebright_common.errors import ManifestError
from eyebright_common.manifest import read_dataset


def folder(tmp_path, *files):
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(b"picture")
    return tmp_path


KERMANY = (
    "CNV/CNV-77-1.jpeg",
    "CNV/CNV-77-2.jpeg",
    "DME/DME-77-1.jpeg",
    "DRUSEN/DRUSEN-5-1.jpeg",
    "NORMAL/NORMAL-9-1.jpeg",
)


def test_kermany_names_give_the_patient_whatever_the_class(tmp_path):
    manifest, task = read_dataset(folder(tmp_path, *KERMANY), task_family="oct")
    assert task.name == "oct"
    assert [(row.label, row.patient_id) for row in manifest.rows] == [
        ("cnv", "77"), ("cnv", "77"), ("dme", "77"), ("drusen", "5"), ("normal", "9"),
    ]  # fmt: skip
    assert manifest.notes == {}


def test_a_split_of_the_source_is_kept(tmp_path):
    files = (*(f"train/{file}" for file in KERMANY), "val/CNV/CNV-8-1.jpeg")
    manifest, _ = read_dataset(folder(tmp_path, *files), task_family="oct")
    assert {row.split for row in manifest.rows} == {"train", "validation"}


def test_the_family_member_that_fits_is_chosen(tmp_path):
    _, task = read_dataset(folder(tmp_path, "NO_DME/a.png", "DME/b.png"), task_family="oct")
    assert task.name == "oct-dme"


def test_other_names_make_each_picture_a_patient_and_say_so(tmp_path):
    manifest, _ = read_dataset(folder(tmp_path, "normal/a.jpg", "cataract/a.jpg"), task_family="fundus")
    assert len({row.patient_id for row in manifest.rows}) == 2
    assert manifest.notes == {"patient_id_from_file_name": 2}


def test_both_eyes_of_an_eyepacs_name_are_one_patient(tmp_path):
    manifest, _ = read_dataset(folder(tmp_path, "normal/10_left.jpeg", "cataract/10_right.jpeg"), task_family="fundus")
    assert [(row.patient_id, row.eye) for row in manifest.rows] == [("10", "R"), ("10", "L")]


def test_what_is_no_picture_or_in_no_class_is_counted(tmp_path):
    files = (*KERMANY, "CNV/Thumbs.db", "README.txt", "loose.jpeg", "AMD/x.jpeg")
    manifest, _ = read_dataset(folder(tmp_path, *files), task_family="oct")
    assert manifest.left_out == {"file_outside_class_folder": 1, "label_not_in_task:amd": 1, "not_a_picture_file": 2}
    assert len(manifest.rows) + sum(manifest.left_out.values()) == len(files)


def test_an_empty_class_folder_is_refused_by_name(tmp_path):
    folder(tmp_path, *KERMANY)
    (tmp_path / "EMPTY").mkdir()
    with pytest.raises(ManifestError, match=r"no pictures.*EMPTY"):
        read_dataset(tmp_path, task_family="oct")


@pytest.mark.parametrize("files", [(), ("notes.txt",), ("CNV/notes.txt",), ("a.jpeg", "b.jpeg")])
def test_a_folder_without_pictures_in_classes_is_refused(tmp_path, files):
    with pytest.raises(ManifestError, match="no pictures"):
        read_dataset(folder(tmp_path, *files), task_family="oct")


def test_a_folder_with_a_manifest_is_read_by_it(tmp_path):
    folder(tmp_path, "x/a.png", "x/b.png")
    lines = ["image_path,modality,label,patient_id", "x/a.png,CFP,normal,1", "x/b.png,CFP,glaucoma,2"]
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    assert len(read_dataset(tmp_path, task_family="fundus")[0].rows) == 2
