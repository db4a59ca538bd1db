"""Measuring pictures for the audit: what is written down, what is counted, what counts once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eyebright_common.errors import InputError
from eyebright_common.manifest import Row, read_dataset
from eyebright_common.tasks import get_task
from eyebright_learning.audit import Level, audit, picture_facts, read_audit_table
from pictures import encoded, eye

FUNDUS = get_task("fundus")


def row(folder: Path, name: str, label: str, patient: str, data: bytes, **facts: str) -> Row:
    (folder / name).write_bytes(data)
    return Row(image_path=folder / name, name=name, modality="CFP", label=label, patient_id=patient, **facts)


def test_facts_of_a_picture_by_hand() -> None:
    image = np.zeros((10, 20, 3), np.uint8)
    image[:, :10] = (100, 0, 255)
    found = picture_facts(image, suffix=".JPG", size_bytes=1234)
    assert (found.format, found.size_bytes, found.width, found.height) == ("jpeg", 1234, 20, 10)
    assert found.means.tolist() == [50.0, 0.0, 127.5]
    assert found.variances.tolist() == [2500.0, 0.0, 127.5**2]


def test_a_table_is_read_from_files_and_copies_count_as_one_patient(tmp_path: Path) -> None:
    drawn = eye(seed=1, side=128)
    rows = [
        row(tmp_path, "a.png", "normal", "p1", encoded(drawn), site="north", camera="x"),
        row(tmp_path, "b.jpg", "glaucoma", "p2", encoded(drawn, "JPEG", quality=90), site="south"),
        row(tmp_path, "c.png", "cataract", "p3", encoded(eye(seed=2, side=96)), site="south"),
        row(tmp_path, "d.png", "amd", "p4", encoded(drawn)),
        row(tmp_path, "e.png", "normal", "p5", b"no picture"),
    ]
    reading = read_audit_table(rows, task=FUNDUS, workers=1)
    found = reading.table
    assert (found.labels.tolist(), found.sites) == ([0, 2, 3], ("north", "south", "south"))
    assert found.cameras == ("x", "", "")
    assert found.groups[0] == found.groups[1] != found.groups[2]
    assert (reading.duplicate_clusters, reading.cross_patient_clusters) == (1, 1)
    assert reading.left_out == {"label_not_in_task": 1, "not_an_image": 1}
    # log bytes, log bytes per pixel, is it JPEG, is it PNG
    assert found.file[0, 0] == pytest.approx(np.log((tmp_path / "a.png").stat().st_size))
    assert found.file[:, 2:].tolist() == [[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]
    assert np.exp(found.shape).round().tolist() == [[128, 128, 1], [128, 128, 1], [96, 96, 1]]


def test_data_without_one_readable_picture_is_refused_with_the_reasons(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not one picture can be measured: not_an_image 1"):
        read_audit_table([row(tmp_path, "a.png", "normal", "p1", b"no")], task=FUNDUS)


@pytest.mark.shared
@pytest.mark.slow
def test_the_real_collection_is_a_strong_shortcut(shared_data: Path) -> None:
    manifest, task = read_dataset(shared_data / "fundus" / "manifest.csv", task_family="fundus")
    reading = read_audit_table(manifest.rows[::10], task=task)
    found = audit(reading.table, replicates=100)
    # `mixed` and `cvblab` hold cataract and glaucoma only; `odir` holds everything.
    assert found.level is Level.STRONG
    assert any(said.startswith("Site alone predicts") for said in found.sentences)
