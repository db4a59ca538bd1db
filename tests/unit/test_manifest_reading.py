"""Data sets as hospitals write them: what is kept, what is counted, what is refused."""

import json

import pytest

from eyebright_common.errors import ManifestError
from eyebright_common.manifest import read_dataset, write_manifest

HEADER = "image_path,modality,label,patient_id,eye,site"
GOOD = ("a.png,CFP,normal,p1,R,north", "b.png,CFP,cataract,p2,L,north")


def dataset(tmp_path, *lines, header=HEADER, files=("a.png", "b.png"), encoding="utf-8", name="manifest.csv"):
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(b"picture")
    (tmp_path / name).write_bytes("\n".join([header, *lines, ""]).encode(encoding))
    return tmp_path / name


def read(tmp_path, *lines, **options):
    return read_dataset(dataset(tmp_path, *GOOD, *lines, **options), task_family="fundus")[0]


def test_a_plain_manifest_is_read_row_by_row(tmp_path):
    manifest, task = read_dataset(dataset(tmp_path, *GOOD), task_family="fundus")
    assert task.name == "fundus"
    assert [(row.name, row.label, row.patient_id, row.eye, row.site) for row in manifest.rows] == [
        ("a.png", "normal", "p1", "R", "north"),
        ("b.png", "cataract", "p2", "L", "north"),
    ]
    assert (manifest.left_out, manifest.problems) == ({}, ())


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("c.png,CFP,amd,p3,R,north", "label_not_in_task:amd"),
        ("c.png,CFP,,p3,R,north", "label_missing"),
        ("c.png,OCT,drusen,p3,R,north", "modality_not_in_task:OCT"),
        ("c.png,MRI,normal,p3,R,north", "modality_unknown"),
        ("c.png,CFP,normal,,R,north", "patient_id_missing"),
        ("gone.png,CFP,normal,p3,R,north", "file_missing"),
        (",CFP,normal,p3,R,north", "path_missing"),
        ("../a.png,CFP,normal,p3,R,north", "path_outside_folder"),
        ("x/../../a.png,CFP,normal,p3,R,north", "path_outside_folder"),
        ("/etc/passwd,CFP,normal,p3,R,north", "path_outside_folder"),
        ("C:\\eyes\\a.png,CFP,normal,p3,R,north", "path_outside_folder"),
        ("c.png,CFP,normal", "malformed_row"),
        ("a.png,CFP,normal,p1,R,north", "duplicate_row"),
    ],
)
def test_a_row_that_cannot_be_used_is_counted_by_its_reason(tmp_path, line, reason):
    manifest = read(tmp_path, line)
    assert (len(manifest.rows), manifest.left_out) == (2, {reason: 1})
    assert manifest.problems[0][1] == reason


def test_rows_that_contradict_each_other_are_all_left_out(tmp_path):
    lines = ("a.png,CFP,glaucoma,p1,R,north", "c.png,CFP,normal,p3,R,north")
    manifest = read(tmp_path, *lines, files=("a.png", "b.png", "c.png"))
    assert manifest.left_out == {"conflicting_row": 2}
    assert [row.name for row in manifest.rows] == ["b.png", "c.png"]


def test_a_picture_file_without_a_row_is_counted(tmp_path):
    assert read(tmp_path, files=("a.png", "b.png", "stray.jpg")).left_out == {"file_without_row": 1}


def test_one_patient_in_two_sites_is_kept_and_reported(tmp_path):
    manifest = read(tmp_path, "c.png,CFP,normal,p1,L,south", files=("a.png", "b.png", "c.png"))
    assert len(manifest.rows) == 3
    assert manifest.notes == {"patients_in_two_sites": 1, "rows_of_patients_in_two_sites": 2}


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_spreadsheet_export_is_understood(tmp_path, delimiter):
    lines = [line.replace(",", delimiter) for line in (HEADER.replace("label", " Label "), *GOOD)]
    path = dataset(tmp_path, *lines[1:], header="\ufeff" + lines[0])
    assert len(read_dataset(path, task_family="fundus")[0].rows) == 2


def test_windows_paths_are_understood(tmp_path):
    manifest = read(tmp_path, "eyes\\c.png,CFP,normal,p3,R,north", files=("a.png", "b.png", "eyes/c.png"))
    assert manifest.rows[2].name == "eyes/c.png"
    assert manifest.left_out == {}


def test_a_file_name_in_another_case_is_found_and_noted(tmp_path):
    manifest = read(tmp_path, "c.PNG,CFP,normal,p3,R,north", files=("a.png", "b.png", "c.png"))
    assert len(manifest.rows) == 3
    assert manifest.notes == {"file_name_case_corrected": 1}
    assert manifest.left_out == {}


def test_a_file_name_that_fits_two_files_is_not_guessed(tmp_path):
    manifest = read(tmp_path, "C.PNG,CFP,normal,p3,R,north", files=("a.png", "b.png", "c.png", "c.PNG"))
    assert manifest.left_out["file_missing"] == 1


def test_frames_of_one_file_are_different_pictures(tmp_path):
    lines = [f"v.dcm,CFP,{label},p{n},R,north,{n}" for n, label in ((1, "normal"), (2, "cataract"))]
    path = dataset(tmp_path, *lines, header=HEADER + ",frame_index", files=("v.dcm",))
    assert [row.frame for row in read_dataset(path, task_family="fundus")[0].rows] == [1, 2]


@pytest.mark.parametrize("column", ["image_path", "modality", "label", "patient_id"])
def test_a_missing_column_is_named(tmp_path, column):
    path = dataset(tmp_path, *GOOD, header=HEADER.replace(column, "other"))
    with pytest.raises(ManifestError, match=f"no column '{column}'.*Add it"):
        read_dataset(path, task_family="fundus")


def test_a_doubled_column_is_named(tmp_path):
    with pytest.raises(ManifestError, match="'label' appears twice"):
        read_dataset(dataset(tmp_path, *GOOD, header=HEADER.replace("site", "label")), task_family="fundus")


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_an_encoding_is_never_guessed(tmp_path, encoding):
    path = dataset(tmp_path, "a.png,CFP,normal,Müller,R,north", encoding=encoding)
    with pytest.raises(ManifestError, match="UTF-8"):
        read_dataset(path, task_family="fundus")


@pytest.mark.parametrize("content", ["", "\n\n", HEADER + "\n"])
def test_a_manifest_without_rows_is_refused(tmp_path, content):
    (tmp_path / "m.csv").write_text(content)
    with pytest.raises(ManifestError, match=r"empty|no rows"):
        read_dataset(tmp_path / "m.csv", task_family="fundus")


def test_a_manifest_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ManifestError, match="no such"):
        read_dataset(tmp_path / "m.csv", task_family="fundus")


def test_a_manifest_of_the_other_modality_is_refused_with_the_count(tmp_path):
    path = dataset(tmp_path, "a.png,OCT,normal,p1,R,x", "b.png,OCT,cataract,p2,R,x")
    with pytest.raises(ManifestError, match="modality_not_in_task:OCT 2"):
        read_dataset(path, task_family="fundus")


def test_one_class_alone_is_refused(tmp_path):
    with pytest.raises(ManifestError, match="fewer than two classes"):
        read_dataset(dataset(tmp_path, GOOD[0]), task_family="fundus")


def test_json_lines_are_read_like_a_table(tmp_path):
    lines = [dict(zip(HEADER.split(","), line.split(","), strict=True)) for line in GOOD]
    lines.append({**lines[0], "patient_id": 12, "image_path": "c.png", "label": None})
    text = [json.dumps(line) for line in lines] + ["{broken", "[1]", '{"label": {"a": 1}}']
    path = dataset(tmp_path, *text[1:], header=text[0], files=("a.png", "b.png", "c.png"), name="m.jsonl")
    manifest = read_dataset(path, task_family="fundus")[0]
    assert len(manifest.rows) == 2
    assert manifest.left_out == {"label_missing": 1, "malformed_row": 3}


def test_a_line_of_json_that_lacks_a_column_others_have_is_counted(tmp_path):
    lines = [json.dumps(dict(zip(HEADER.split(","), line.split(","), strict=True))) for line in GOOD]
    path = dataset(tmp_path, lines[1], '{"image_path": "a.png"}', header=lines[0], name="m.jsonl")
    assert read_dataset(path, task_family="fundus")[0].left_out == {"malformed_row": 1}


def test_the_digest_ignores_order_and_place_but_no_content(tmp_path):
    one = read_dataset(dataset(tmp_path / "x", *GOOD), task_family="fundus")[0]
    other = read_dataset(dataset(tmp_path / "y", *GOOD[::-1]), task_family="fundus")[0]
    changed = read_dataset(dataset(tmp_path / "z", GOOD[0], GOOD[1].replace("p2", "p3")), task_family="fundus")[0]
    assert one.digest == other.digest != changed.digest


def test_what_is_written_is_read_back(tmp_path):
    manifest = read(tmp_path)
    write_manifest(tmp_path / "again.csv", manifest.rows)
    again = read_dataset(tmp_path / "again.csv", task_family="fundus")[0]
    assert again.rows == manifest.rows
