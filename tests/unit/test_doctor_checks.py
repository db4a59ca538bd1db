"""What the doctor finds, check by check."""

import json
import stat

import numpy as np
import pytest

from eyebright_client.doctor import Level, Options, examine
from eyebright_client.doctor.diagnosis import dealt_again, sample_of
from eyebright_client.doctor.findings import by_share, gravest
from eyebright_client.doctor.local_list import BANNER, write_local_list
from eyebright_client.doctor.results_store import ResultsStore
from eyebright_common.manifest.importers import DataMap
from hospital_folders import healthy_folder, read_rows, row, save, write_rows
from pictures import b_scan, eye

QUICK = Options(workers=1, capacity=False)


def looked_at(path, out, **options):
    return examine(path, folder=out, options=Options(**{"workers": 1, "capacity": False, **options}))


def finding(diagnosis, check):
    return next(one for one in diagnosis.shareable["findings"] if one["check"] == check)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_a_healthy_folder_is_used_as_a_whole(folder, out):
    diagnosis = looked_at(healthy_folder(folder), out)
    assert diagnosis.level in {Level.OK, Level.INFO}
    assert (diagnosis.exit_code, diagnosis.shareable["used"], diagnosis.shareable["left_out"]) == (0, 12, {})


def test_used_and_left_out_make_up_everything(folder, out):
    healthy_folder(folder)
    (folder / "p/3.png").write_bytes(b"")
    save(folder, "p/extra.png", eye(90, 160))
    (folder / "p/0.png").unlink()
    result = looked_at(folder / "manifest.csv", out).shareable
    assert result["left_out"] == {"empty_file": 1, "file_missing": 1, "file_without_row": 1}
    assert result["used"] + sum(result["left_out"].values()) == result["rows_and_files"] == 13


def test_more_than_one_in_a_hundred_lost_refuses(folder, out):
    healthy_folder(folder)
    (folder / "p/0.png").unlink()
    diagnosis = looked_at(folder, out)
    assert (finding(diagnosis, "rows")["level"], diagnosis.exit_code) == ("stop", 2)
    assert by_share(1, 100, stop_above=0.01) is Level.WARN
    assert by_share(0, 0, stop_above=0.01) is Level.OK


def test_not_one_usable_row_is_an_answer_with_its_reasons(folder, out):
    write_rows(folder, [row("gone.png", patient="1"), row("gone2.png", patient="2", label="glaucoma")])
    diagnosis = looked_at(folder, out)
    assert (diagnosis.exit_code, diagnosis.shareable["left_out"]) == (2, {"file_missing": 2})


def test_an_exact_copy_with_another_label_refuses_and_both_are_left_out(folder, out):
    healthy_folder(folder)
    rows = read_rows(folder)
    rows.append(row(save(folder, "p/copy.png", eye(0, 160)), label="cataract", patient="patient-0"))
    write_rows(folder, rows)
    diagnosis = looked_at(folder, out)
    assert finding(diagnosis, "exact_copies")["numbers"]["sets_with_two_labels"] == 1
    assert (diagnosis.exit_code, diagnosis.shareable["left_out"]) == (2, {"exact_copies_with_other_labels": 2})


def test_an_exact_copy_that_agrees_is_used_once(folder, out):
    healthy_folder(folder)
    rows = read_rows(folder)
    rows.append(row(save(folder, "p/copy.png", eye(0, 160)), patient="patient-0", eye="L"))
    write_rows(folder, rows)
    diagnosis = looked_at(folder, out)
    assert (finding(diagnosis, "exact_copies")["level"], diagnosis.shareable["left_out"]) == ("warn", {"exact_copy": 1})


def test_a_mirrored_copy_under_another_patient_is_a_near_copy_and_refuses(folder, out):
    healthy_folder(folder)
    rows = read_rows(folder)
    name = save(folder, "p/mirror.jpg", eye(0, 160)[:, ::-1], "JPEG", quality=90)
    write_rows(folder, [*rows, row(name, patient="somebody-else")])
    diagnosis = looked_at(folder, out)
    found = finding(diagnosis, "near_copies")
    assert (found["level"], found["numbers"]["sets_with_two_patients"]) == ("stop", 1)


def test_where_nobody_says_whose_pictures_they_are_a_copy_is_no_contradiction(folder, out):
    for number in range(4):
        save(folder, f"{('normal', 'cataract')[number % 2]}/{number}.png", eye(number, 160))
    save(folder, "normal/again.jpg", eye(0, 160), "JPEG", quality=92)
    diagnosis = looked_at(folder, out)
    assert finding(diagnosis, "near_copies")["level"] == "warn"
    assert finding(diagnosis, "patients")["numbers"]["pictures_without_patient"] == 5


def test_a_patient_in_two_splits_refuses_and_can_be_dealt_again(folder, out):
    healthy_folder(folder)
    rows = read_rows(folder)
    for number, one in enumerate(rows):
        one["split"] = ("train", "test")[number % 2]
    write_rows(folder, rows)
    diagnosis = looked_at(folder, out)
    assert finding(diagnosis, "splits")["numbers"]["patients_in_two"] == 6
    dealt = dealt_again(diagnosis.case)
    by_patient = {}
    for one in diagnosis.case.rows:
        by_patient.setdefault(one.patient_id, set()).add(dealt[one.name, one.frame])
    assert all(len(splits) == 1 for splits in by_patient.values())
    assert set(dealt.values()) == {"train", "validation", "test"}


def test_a_copy_in_two_splits_is_found_although_the_patients_differ(folder, out):
    rows = [row(save(folder, "a.png", eye(1, 160)), patient="1", split="train")]
    rows += [row(save(folder, "b.jpg", eye(1, 160), "JPEG", quality=92), patient="2", split="test")]
    rows += [row(save(folder, "c.png", eye(2, 160)), patient="3", label="cataract", split="train")]
    diagnosis = looked_at(write_rows(folder, rows), out)
    assert finding(diagnosis, "splits")["numbers"] | {"splits": None} == {
        "splits": None, "groups_in_two": 1, "patients_in_two": 0, "sets_of_copies_in_two": 1,
    }  # fmt: skip


def test_a_b_scan_among_photographs_is_another_modality_not_a_bad_picture(folder, out):
    healthy_folder(folder)
    rows = read_rows(folder)
    write_rows(folder, [*rows, row(save(folder, "p/scan.png", b_scan(1)), patient="x")])
    diagnosis = looked_at(folder, out)
    assert finding(diagnosis, "modality")["numbers"] == {"instead": {"OCT": 1}}
    assert diagnosis.shareable["left_out"] == {"wrong_modality:OCT": 1}


def test_ungradable_pictures_are_counted_by_reason(folder, out):
    healthy_folder(folder)
    save(folder, "p/0.png", (eye(0, 160) * 0.08).astype(np.uint8))
    diagnosis = looked_at(folder, out)
    assert diagnosis.shareable["left_out"] == {"ungradable:too_dark": 1}
    assert finding(diagnosis, "quality")["level"] == "info"


def test_one_class_alone_is_refused(folder, out):
    diagnosis = looked_at(write_rows(folder, [row(save(folder, "a.png", eye(1, 160)), patient="1")]), out)
    assert finding(diagnosis, "labels")["level"] == "stop"


def test_a_class_that_is_absent_and_labels_outside_the_task_are_named(folder, out):
    healthy_folder(folder)
    rows = [one for one in read_rows(folder) if one["label"] != "cataract"]
    rows.append(row(save(folder, "p/amd.png", eye(50, 160)), label="amd", patient="x"))
    diagnosis = looked_at(write_rows(folder, rows), out)
    found = finding(diagnosis, "labels")
    assert "cataract is absent" in found["sentence"]
    assert found["numbers"]["outside"] == {"label_not_in_task:amd": 1}


def test_the_sign_of_another_format_than_the_ending_is_a_warning(folder, out):
    healthy_folder(folder)
    save(folder, "p/1.png", eye(1, 160), "JPEG", quality=95)
    found = finding(looked_at(folder, out), "formats")
    assert (found["level"], found["numbers"]["misnamed"]) == ("warn", 1)


def test_a_label_that_stretches_one_disease_to_health_is_a_warning(folder, out):
    for number in range(6):
        save(folder, f"{number}_left.png", eye(number, 160))
    lines = ["image,level", *(f"{number}_left,{number % 3}" for number in range(6))]
    (folder / "trainLabels.csv").write_text("\n".join(lines))
    assert finding(looked_at(folder, out), "label_meaning")["numbers"] == {"pictures": 2}
    mapped = looked_at(folder, out, mapping=DataMap(labels={"icdr_0": ""}))
    assert mapped.shareable["left_out"] == {"label_missing": 2}


def test_the_camera_that_takes_one_class_only_is_a_shortcut(folder, out):
    rows = []
    for number in range(40):
        label = ("normal", "cataract")[number % 2]
        name = save(folder, f"{number}.png", eye(number, 96))
        rows.append(row(name, label=label, patient=str(number), camera=f"device of {label}"))
    diagnosis = looked_at(write_rows(folder, rows), out)
    assert finding(diagnosis, "shortcut")["level"] == "stop"
    assert "device of" not in json.dumps(diagnosis.shareable)


def test_a_second_run_looks_at_nothing_again_and_a_changed_file_once(folder, out):
    path = healthy_folder(folder)
    first = looked_at(path, out)
    seen = []
    examine(path, folder=out, options=QUICK, on_progress=lambda done, total: seen.append(done))
    assert seen == []
    (folder / "p/3.png").write_bytes(b"")
    again = examine(path, folder=out, options=QUICK, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(12, 12)]
    assert again.shareable["left_out"] == {"empty_file": 1}
    assert first.shareable["left_out"] == {}


def test_a_damaged_store_is_begun_anew(out):
    (out / "results").write_bytes(b"not a database at all" * 100)
    with ResultsStore(out / "results") as store:
        assert store.known(["x"]) == {}
    assert stat.S_IMODE((out / "results").stat().st_mode) == 0o600


def test_a_sample_is_whole_patients_and_the_same_every_time(folder, out):
    diagnosis = looked_at(healthy_folder(folder), out)
    sample = sample_of(diagnosis.case.rows, 5)
    assert len(sample) == 6
    assert sample == sample_of(list(reversed(diagnosis.case.rows)), 5)[::-1]
    result = looked_at(folder, out, sample=5).shareable
    assert result["left_out"] == {"not_in_sample": 6}


def test_the_same_data_gives_the_same_answer(folder, out, tmp_path):
    path = healthy_folder(folder)
    (tmp_path / "other").mkdir()
    assert looked_at(path, out).shareable == looked_at(path, tmp_path / "other").shareable


def test_the_local_list_names_files_under_a_banner_for_the_owner_alone(folder, out):
    healthy_folder(folder)
    (folder / "p/3.png").write_bytes(b"")
    write_local_list(out / "list.csv", looked_at(folder, out).local)
    lines = (out / "list.csv").read_text().splitlines()
    assert lines[0] == BANNER
    assert "empty_file,p/3.png,1,patient-1,,Copy the file again: it has no bytes." in lines
    assert stat.S_IMODE((out / "list.csv").stat().st_mode) == 0o600


def test_the_gravest_finding_decides():
    assert gravest([]) is Level.OK
    assert gravest([Level.WARN, Level.STOP, Level.INFO]) is Level.STOP
