"""What may be shared: our own words, and no count that points at a person."""

import pytest

from eyebright_client.doctor.sharing import numbered, people_table, shareable_reason, shareable_reasons


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("truncated", "truncated"),
        ("ungradable:blur", "ungradable:blur"),
        ("label_not_in_task:amd", "label_not_in_task:amd"),
        ("label_not_in_task:maria_huber", "label_not_in_task:other"),
        ("modality_not_in_task:OCT", "modality_not_in_task:OCT"),
    ],
)
def test_what_a_person_wrote_into_a_label_cell_is_not_repeated(reason, shown):
    assert shareable_reason(reason) == shown


def test_reasons_that_look_alike_afterwards_are_added():
    counts = {"label_not_in_task:huber": 2, "label_not_in_task:maier": 3, "truncated": 9}
    assert shareable_reasons(counts) == {"truncated": 9, "label_not_in_task:other": 5}


def test_counts_of_people_below_ten_are_not_shown():
    assert people_table({"a": 0, "b": 1, "c": 9, "d": 10}) == {"a": 0, "b": "<10", "c": "<10", "d": 10}


def test_cameras_are_numbered_by_size_whatever_their_names():
    assert numbered(["Huber", "x", "x", ""], "camera") == {"": "", "x": "camera 1", "Huber": "camera 2"}
