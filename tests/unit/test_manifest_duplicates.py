"""Copies of a picture under other names, and pictures that only look alike."""

import cv2
import numpy as np
import pytest

from eyebright_common.errors import InputError
from eyebright_common.imaging import decode_image, prepare
from eyebright_common.manifest import cluster_duplicates, duplicate_descriptor
from pictures import b_scan, encoded, eye


def descriptor(picture, modality="CFP"):
    return duplicate_descriptor(prepare(picture, modality=modality, size=128))


COPIES = {
    "re-encoded": lambda picture: decode_image(encoded(picture, "JPEG", quality=50)),
    "smaller": lambda picture: cv2.resize(picture, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA),
    "mirrored": lambda picture: np.ascontiguousarray(picture[:, ::-1]),
    "upside down": lambda picture: np.ascontiguousarray(picture[::-1]),
    "altered contrast": lambda picture: np.clip((picture.astype(float) - 60) * 1.4 + 70, 0, 255).astype(np.uint8),
}


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_joins_its_original_across_patients(copy):
    pictures = [eye(1), COPIES[copy](eye(1)), eye(2)]
    clusters = cluster_duplicates(np.stack([descriptor(p) for p in pictures]), ["a", "b", "c"])
    assert clusters.group.tolist() == [0, 0, 1]
    assert (clusters.duplicate_clusters, clusters.images_in_duplicate_clusters) == (1, 2)
    assert (clusters.cross_patient_clusters, clusters.largest_cluster) == (1, 2)


def test_different_eyes_stay_apart():
    clusters = cluster_duplicates(np.stack([descriptor(eye(n)) for n in range(24)]), [str(n) for n in range(24)])
    assert clusters.group.tolist() == list(range(24))


def test_the_same_dirt_on_the_lens_does_not_make_a_copy():
    pictures = [eye(n) for n in range(8)]
    for picture in pictures:
        cv2.circle(picture, (120, 130), 7, (250, 250, 250), -1)
        cv2.circle(picture, (150, 90), 6, (60, 20, 10), -1)
    clusters = cluster_duplicates(np.stack([descriptor(p) for p in pictures]), [str(n) for n in range(8)])
    assert clusters.duplicate_clusters == 0


def test_pictures_without_structure_are_not_copies_of_each_other():
    blank = np.zeros((128, 128, 3), np.uint8)
    descriptors = np.stack([duplicate_descriptor(blank + level) for level in (0, 90, 200)]).astype(np.float32)
    assert cluster_duplicates(descriptors, ["a", "b", "c"]).duplicate_clusters == 0


def test_scans_of_different_people_stay_apart_and_a_copy_does_not():
    scans = [b_scan(n) for n in range(8)] + [np.ascontiguousarray(b_scan(0)[:, ::-1])]
    descriptors = np.stack([descriptor(scan, "OCT") for scan in scans])
    clusters = cluster_duplicates(descriptors, [str(n) for n in range(9)], modality="OCT")
    assert clusters.pairs.tolist() == [[0, 8]]


def test_both_eyes_of_a_patient_are_one_group_but_no_duplicates():
    clusters = cluster_duplicates(np.stack([descriptor(eye(n)) for n in range(3)]), ["a", "b", "a"])
    assert clusters.group.tolist() == [0, 1, 0]
    assert clusters.duplicate_clusters == 0


def test_groups_are_closed_over_patients_and_copies():
    pictures = [eye(1), eye(2), COPIES["re-encoded"](eye(2)), eye(3)]
    clusters = cluster_duplicates(np.stack([descriptor(p) for p in pictures]), ["a", "a", "b", "b"])
    assert clusters.group.tolist() == [0, 0, 0, 0]


def test_an_unknown_patient_joins_nothing():
    clusters = cluster_duplicates(np.stack([descriptor(eye(n)) for n in range(2)]), ["", ""])
    assert clusters.group.tolist() == [0, 1]


def test_no_pictures_are_no_groups():
    assert cluster_duplicates(np.empty((0, 64 * 64), np.float32), []).group.shape == (0,)


def test_lengths_that_differ_are_refused():
    with pytest.raises(InputError, match="1 and 2"):
        cluster_duplicates(np.zeros((1, 64 * 64), np.float32), ["a", "b"])
