"""Public layouts, read into manifest v1: every row and file in one place."""

import stat

import pytest

from eyebright_common.errors import InputError, ManifestError
from eyebright_common.manifest import read_dataset
from eyebright_common.manifest.importers import DataMap, judge, read_map, read_source, write_records


def lay(root, files, tables=()):
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(b"picture")
    for name, lines in dict(tables).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("\n".join(lines), encoding="utf-8")
    return root


def rows_of(root, **options):
    judged = judge(read_source(root, **options), task=None)
    return judged, {row.name: row for row in judged.manifest.rows}


def test_eyepacs_names_give_patient_and_eye_and_the_grade_gives_the_label(tmp_path):
    lay(
        tmp_path,
        ["train/10_left.jpeg", "train/10_right.jpeg", "train/99_left.jpeg"],
        {"trainLabels.csv": ["image,level", "10_left,0", "10_right,2", "11_left,1"]},
    )
    judged, rows = rows_of(tmp_path)
    left, right = rows["train/10_left.jpeg"], rows["train/10_right.jpeg"]
    assert (left.patient_id, left.eye, left.label) == ("10", "L", "normal")
    assert (right.patient_id, right.eye, right.label) == ("10", "R", "diabetic_retinopathy")
    assert right.extra["source_label"] == "icdr_2"
    assert judged.manifest.left_out == {"file_missing": 1, "file_without_row": 1}


def test_a_grade_of_one_disease_is_called_normal_and_counted_as_such(tmp_path):
    lay(tmp_path, ["1_left.jpeg", "2_left.jpeg"], {"t.csv": ["image,level", "1_left,0", "2_left,3"]})
    assert read_source(tmp_path).notes["normal_for_one_disease_only"] == 1


def test_aptos_pictures_are_patients_of_their_own_and_say_so(tmp_path):
    lay(tmp_path, ["train_images/a1.png", "train_images/b2.png"], {"train.csv": ["id_code,diagnosis", "a1,0", "b2,4"]})
    judged, rows = rows_of(tmp_path)
    assert len({row.patient_id for row in rows.values()}) == 2
    assert judged.manifest.notes["patient_id_from_file_name"] == 2


def test_messidor_endings_differ_in_case_and_ungradable_rows_have_no_grade(tmp_path):
    lay(
        tmp_path,
        ["IMAGES/IM01.JPG", "IMAGES/im02.png", "IMAGES/im03.png"],
        {
            "messidor_data.csv": [
                "image_id,adjudicated_dr_grade,adjudicated_dme,adjudicated_gradable",
                "im01.jpg,0,0,1",
                "IM02.png,2,0,1",
                "im03.png,,,0",
            ],
            "messidor-2.csv": ["left;right", "im01.jpg;im02.png"],
        },
    )
    judged, rows = rows_of(tmp_path)
    assert [(row.patient_id, row.eye) for row in rows.values()] == [("messidor-1", "L"), ("messidor-1", "R")]
    assert judged.manifest.left_out == {"label_missing": 1}


def test_odir_labels_come_from_the_words_of_each_eye(tmp_path):
    header = (
        "ID,Patient Age,Patient Sex,Left-Fundus,Right-Fundus,Left-Diagnostic Keywords,"
        "Right-Diagnostic Keywords,N,D,G,C,A,H,M,O"
    )
    lay(
        tmp_path,
        [f"{n}_{side}.jpg" for n in (0, 1, 2) for side in ("left", "right")],
        {
            "odir.csv": [
                header,
                "0,69,Female,0_left.jpg,0_right.jpg,cataract,normal fundus,0,0,0,1,0,0,0,0",
                "1,57,Male,1_left.jpg,1_right.jpg,lens dust\uff0cnormal fundus,suspected glaucoma,1,0,1,0,0,0,0,0",
                "2,91,Male,2_left.jpg,2_right.jpg,no fundus image,glaucoma\uff0cmoderate non proliferative retinopathy,"
                "0,1,1,0,0,0,0,0",
            ]
        },
    )
    judged, rows = rows_of(tmp_path)
    assert {name: row.label for name, row in rows.items()} == {
        "0_left.jpg": "cataract", "0_right.jpg": "normal", "1_left.jpg": "normal",
    }  # fmt: skip
    assert rows["0_left.jpg"].age_band == "60-69"
    assert judged.manifest.left_out == {
        f"label_not_in_task:{found}": 1 for found in ("no_fundus_image", "several_findings", "suspected")
    }


def test_deepdrid_wrong_paths_are_found_by_name_and_grade_five_is_ungradable(tmp_path):
    folder = "regular-fundus-training"
    lay(
        tmp_path,
        [f"{folder}/Images/1/1_l1.jpg", f"{folder}/Images/1/1_r1.jpg", f"{folder}/Images/2/2_l1.jpg"],
        {
            f"{folder}/{folder}.csv": [
                "patient_id,image_id,image_path,Overall quality,left_eye_DR_Level,right_eye_DR_Level,patient_DR_Level",
                "1,1_l1,\\wrong\\1\\1_l1.jpg,1,0,,2",
                "1,1_r1,\\wrong\\1\\1_r1.jpg,1,,2,2",
                "2,2_l1,\\wrong\\2\\2_l1.jpg,0,5,,5",
            ]
        },
    )
    judged, rows = rows_of(tmp_path)
    assert [(row.patient_id, row.eye, row.label, row.split) for row in rows.values()] == [
        ("1", "L", "normal", "train"), ("1", "R", "diabetic_retinopathy", "train"),
    ]  # fmt: skip
    assert judged.manifest.left_out == {"label_missing": 1}


def test_brset_reasons_of_bad_quality_are_kept_and_findings_count_once(tmp_path):
    lay(
        tmp_path,
        ["img1.jpg", "img2.jpg", "img3.jpg"],
        {
            "labels.csv": [
                "image_id,patient_id,camera,patient_age,patient_sex,exam_eye,DR_ICDR,macular_edema,amd,focus,quality",
                "img1,1,Canon CR,48,1,1,0,0,0,1,Adequate",
                "img2,1,Canon CR,48,1,2,2,1,0,2,Inadequate",
                "img3,2,NIKON NF5050,,2,1,0,0,1,1,Adequate",
            ]
        },
    )
    judged, rows = rows_of(tmp_path)
    assert (rows["img1.jpg"].eye, rows["img1.jpg"].sex, rows["img1.jpg"].label) == ("R", "M", "normal")
    assert rows["img2.jpg"].label == "diabetic_retinopathy"
    assert rows["img2.jpg"].extra["quality_focus"] == "2"
    assert judged.manifest.left_out == {"label_not_in_task:amd": 1}


def test_mbrset_is_told_from_brset(tmp_path):
    lay(
        tmp_path,
        ["1.1.jpg", "1.3.jpg"],
        {
            "labels_mbrset.csv": [
                "patient,file,laterality,age,final_icdr,final_quality",
                "1,1.1.jpg,right,60,0.0,yes",
                "1,1.3.jpg,left,60,3.0,yes",
            ]
        },
    )
    _, rows = rows_of(tmp_path)
    assert [(row.patient_id, row.eye, row.label) for row in rows.values()] == [
        ("1", "R", "normal"), ("1", "L", "diabetic_retinopathy"),
    ]  # fmt: skip


def test_airogs_classes_are_glaucoma_or_not(tmp_path):
    lay(
        tmp_path,
        ["0/TRAIN000000.jpg", "1/TRAIN000001.jpg"],
        {"train_labels.csv": ["challenge_id,class", "TRAIN000000,NRG", "TRAIN000001,RG"]},
    )
    _, rows = rows_of(tmp_path)
    assert [row.label for row in rows.values()] == ["normal", "glaucoma"]


def test_a_b_scan_of_neh_has_its_own_label_not_that_of_its_volume(tmp_path):
    lay(tmp_path, ["CNV/26/OD/1_cnv.png", "CNV/26/OD/2_normal.png", "NORMAL/3/1_normal.png", "DRUSEN/26/9_drusen.png"])
    judged, rows = rows_of(tmp_path)
    assert judged.task.name == "oct-neh"
    assert rows["CNV/26/OD/2_normal.png"].label == "normal"
    assert rows["CNV/26/OD/2_normal.png"].patient_id == "cnv/26" != rows["DRUSEN/26/9_drusen.png"].patient_id


def test_kermany_numbers_are_patients_whatever_the_class(tmp_path):
    lay(tmp_path, ["CNV/CNV-77-1.jpeg", "DME/DME-77-1.jpeg", "NORMAL/NORMAL-9-1.jpeg"])
    source = read_source(tmp_path)
    assert source.layout == "kermany"
    assert "patient_id_from_file_name" not in source.notes
    assert {row.patient_id for row in judge(source, task="oct").manifest.rows} == {"77", "9"}


def test_any_other_folder_per_class_makes_each_picture_a_patient(tmp_path):
    lay(tmp_path, ["normal/a.jpg", "cataract/a.jpg", "cataract/scan.e2e"])
    source = read_source(tmp_path)
    assert (source.layout, source.notes["patient_id_from_file_name"]) == ("folders", 2)


def test_vendor_files_are_named_as_such(tmp_path):
    lay(
        tmp_path,
        ["1_left.jpeg", "2_left.jpeg", "volume.e2e", "notes.txt"],
        {"t.csv": ["image,level", "1_left,0", "2_left,3"]},
    )
    judged, _ = rows_of(tmp_path)
    assert judged.manifest.left_out == {"not_a_picture_file": 1, "vendor_format": 1}


def test_a_table_of_the_hospital_is_read_with_its_map(tmp_path):
    lay(tmp_path, ["p/1.png", "p/2.png", "p/3.png"])
    (tmp_path / "export.csv").write_text("Datei;Fall;Befund\np\\1.png;7;NPDR\np\\2.png;8;unauffällig\np\\3.png;9;?\n")
    (tmp_path / "map.json").write_text(
        '{"columns": {"image_path": "Datei", "patient_id": "Fall", "label": "Befund"},'
        ' "constants": {"modality": "CFP"}, "labels": {"NPDR": "dr", "unauffällig": "normal"}}'
    )
    judged, rows = rows_of(tmp_path / "export.csv", mapping=read_map(tmp_path / "map.json"))
    assert [(row.patient_id, row.label) for row in rows.values()] == [("7", "diabetic_retinopathy"), ("8", "normal")]
    assert judged.manifest.left_out == {"label_missing": 1}


def test_a_map_that_names_no_column_of_the_table_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ManifestError, match="no column 'c'"):
        read_source(tmp_path / "t.csv", DataMap(columns={"image_path": "c"}))


def test_a_map_with_an_unknown_field_is_refused(tmp_path):
    (tmp_path / "map.json").write_text('{"colums": {}}')
    with pytest.raises(InputError, match="colums"):
        read_map(tmp_path / "map.json")


def test_a_layout_that_does_not_fit_is_refused(tmp_path):
    lay(tmp_path, ["normal/a.jpg", "cataract/b.jpg"])
    with pytest.raises(ManifestError, match="not laid out as ODIR"):
        read_source(tmp_path, DataMap(layout="odir"))


def test_a_written_manifest_reads_back_the_same_rows(tmp_path):
    lay(tmp_path, ["t/10_left.jpeg", "t/11_left.jpeg"], {"t/l.csv": ["image,level", "10_left,0", "11_left,2"]})
    source = read_source(tmp_path / "t")
    assert write_records(tmp_path / "manifest.csv", source.records, root=source.root) == 2
    manifest, _ = read_dataset(tmp_path / "manifest.csv", task_family="fundus")
    assert [(row.name, row.patient_id, row.label) for row in manifest.rows] == [
        ("t/10_left.jpeg", "10", "normal"), ("t/11_left.jpeg", "11", "diabetic_retinopathy"),
    ]  # fmt: skip
    assert stat.S_IMODE((tmp_path / "manifest.csv").stat().st_mode) == 0o600


def test_a_manifest_beside_its_pictures_is_refused(tmp_path):
    lay(tmp_path, ["data/normal/a.jpg", "data/cataract/b.jpg"])
    source = read_source(tmp_path / "data")
    with pytest.raises(InputError, match="above its pictures"):
        write_records(tmp_path / "other" / "manifest.csv", source.records, root=source.root)
