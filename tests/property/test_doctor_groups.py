"""What belongs together is never parted, whatever hangs together by patient and by copy."""

import base64
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from eyebright_client.doctor.patients import joined_patients, put_together, row_reasons
from eyebright_client.doctor.picture import PictureFacts
from eyebright_common.manifest import Row, split_groups
from eyebright_common.manifest.duplicates import DESCRIPTOR_SIDE

# A picture with nothing to compare: it is like no other.
BLANK = base64.b64encode(np.zeros(DESCRIPTOR_SIDE**2, np.float16).tobytes()).decode()
PICTURES = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 8), st.sampled_from(["normal", "cataract"]), st.booleans()),
    min_size=1,
    max_size=24,
)


def rows_and_facts(pictures):
    rows, facts = [], []
    for number, (patient, content, label, anonymous) in enumerate(pictures):
        extra = {"patient_id_source": "picture"} if anonymous else {}
        whose = f"picture {number}" if anonymous else f"patient {patient}"
        path = Path(f"/nowhere/{number}.png")
        rows.append(Row(image_path=path, name=path.name, modality="CFP", label=label, patient_id=whose, extra=extra))
        facts.append(PictureFacts(reason="", pixel_digest=f"pixels {content}", verdict="good", descriptor=BLANK))
    return rows, facts


@given(PICTURES)
def test_groups_join_exactly_what_patients_and_copies_join(pictures):
    rows, facts = rows_and_facts(pictures)
    group = put_together(rows, facts).group.tolist()
    # Naive: spread each picture's mark until nothing changes.
    mark = list(range(len(rows)))
    for _ in rows:
        for i, one in enumerate(rows):
            for j, other in enumerate(rows):
                if one.patient_id == other.patient_id or facts[i].pixel_digest == facts[j].pixel_digest:
                    mark[i] = mark[j] = min(mark[i], mark[j])
    assert [[a == b for b in group] for a in group] == [[a == b for b in mark] for a in mark]


@given(PICTURES, st.integers(0, 3))
def test_a_deal_never_parts_a_patient_nor_a_copy(pictures, seed):
    rows, facts = rows_and_facts(pictures)
    together = put_together(rows, facts)
    splits = split_groups(together.group, [row.label for row in rows], {"train": 0.7, "test": 0.3}, seed)
    for key in ([row.patient_id for row in rows], [found.pixel_digest for found in facts]):
        places = {}
        for one, split in zip(key, splits.tolist(), strict=True):
            places.setdefault(one, set()).add(split)
        assert all(len(found) == 1 for found in places.values())


@given(PICTURES)
def test_of_agreeing_copies_one_is_used_and_of_contradicting_ones_none(pictures):
    rows, facts = rows_and_facts(pictures)
    reasons = row_reasons(rows, facts, put_together(rows, facts))
    for content in {found.pixel_digest for found in facts}:
        members = [i for i, found in enumerate(facts) if found.pixel_digest == content]
        agree = len({rows[i].label for i in members}) == 1
        assert sum(not reasons[i] for i in members) == (1 if agree else 0)


@given(PICTURES)
def test_only_a_picture_without_a_patient_is_ever_given_one(pictures):
    rows, facts = rows_and_facts(pictures)
    together = put_together(rows, facts)
    for index, patient in joined_patients(rows, together).items():
        assert rows[index].extra
        assert patient in {rows[i].patient_id for i in np.flatnonzero(together.group == together.group[index])}


def test_groups_are_numbered_by_first_appearance():
    rows, facts = rows_and_facts([(1, 0, "normal", False), (2, 1, "normal", False), (1, 2, "normal", False)])
    assert put_together(rows, facts).group.tolist() == [0, 1, 0]
