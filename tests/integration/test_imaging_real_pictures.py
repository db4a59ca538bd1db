"""Imaging and manifests on the development images; skipped where they are not beside the checkout."""

import numpy as np
import pytest

from eyebright_common.imaging import assess_quality, decode_image
from eyebright_common.manifest import cluster_duplicates, load_prepared, read_dataset

pytestmark = pytest.mark.shared


def every(rows, step):
    return list(rows)[::step]


def test_the_fundus_collection_is_accounted_for(shared_data):
    manifest, task = read_dataset(shared_data / "fundus" / "manifest.csv", task_family="fundus")
    assert task.name == "fundus"
    assert manifest.left_out == {"label_not_in_task:amd": 201, "label_not_in_task:pathological_myopia": 181}
    assert len(manifest.rows) == 5418 - 201 - 181


def test_the_kermany_folder_gives_its_patients(shared_data):
    manifest, task = read_dataset(shared_data / "oct_kermany", task_family="oct")
    assert (task.name, len(manifest.rows), manifest.left_out) == ("oct", 32, {})
    assert all(row.patient_id.isdigit() for row in manifest.rows)


def test_few_real_photographs_are_refused_even_with_cataract(shared_data):
    manifest, _ = read_dataset(shared_data / "fundus" / "manifest.csv", task_family="fundus")
    sample = every(manifest.rows, 20)
    loaded = load_prepared(sample, modality="CFP", size=64, workers=1)
    assert sum(loaded.left_out.values()) < 0.06 * len(sample)
    cataract = [row for row in manifest.rows if row.label == "cataract"][::8]
    refused = load_prepared(cataract, modality="CFP", size=64, workers=1).left_out
    assert sum(refused.values()) < 0.13 * len(cataract)


def test_real_scans_pass_and_are_no_photographs(shared_data):
    manifest, _ = read_dataset(shared_data / "oct" / "manifest.csv", task_family="oct")
    scans = [decode_image(row.image_path) for row in every(manifest.rows, 20)]
    assert [assess_quality(scan, modality="OCT").verdict for scan in scans].count("reject") <= 1
    assert {assess_quality(scan, modality="CFP").verdict for scan in scans} == {"reject"}


@pytest.mark.slow
def test_copies_are_found_in_the_real_collection_without_one_giant_cluster(shared_data):
    manifest, _ = read_dataset(shared_data / "fundus" / "manifest.csv", task_family="fundus")
    rows = [row for row in manifest.rows if row.site == "mixed"]
    loaded = load_prepared(rows, modality="CFP", size=128, workers=2, quality_gate=False)
    clusters = cluster_duplicates(loaded.descriptors, [rows[i].patient_id for i in loaded.kept])
    assert clusters.duplicate_clusters > 100
    assert clusters.largest_cluster < 40
    assert len(np.unique(clusters.group)) > 0.6 * len(rows)
