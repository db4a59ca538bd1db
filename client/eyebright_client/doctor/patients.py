"""What belongs together, what is a copy, and what of it is used.

* A group is the closure of patient, exact copy and near copy over the whole data set, computed once by union-find: what
  a split must not part.
* Of exact copies that agree, one is used. Exact copies whose labels differ are all left out: one of them is wrong.
* Where a source names no patients, a copy under another number is no contradiction; it only says who belongs together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eyebright_client.doctor.picture import PictureFacts
from eyebright_common.manifest import Row, cluster_duplicates
from eyebright_common.manifest.closure import closure
from eyebright_common.manifest.importers import OWN_PATIENT

Groups = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    """How the pictures of a manifest hang together.

    Attributes:
        group: Group of each row, ``[N]``.
        exact: Set of exact copies of each row, ``[N]``; a row without a copy is alone in its set.
        near: Set of copies, exact or near, of each row, ``[N]``.
    """

    group: Groups
    exact: Groups
    near: Groups


def put_together(rows: Sequence[Row], facts: Sequence[PictureFacts]) -> Together:
    """Return the groups of all rows; a picture that cannot be read hangs together with its patient only."""
    count = len(rows)
    readable = [index for index, found in enumerate(facts) if not found.reason]
    exact_pairs = _same(facts[index].pixel_digest or f"row {index}" for index in range(count))
    near_pairs = np.empty((0, 2), dtype=np.int64)
    if readable:
        descriptors = np.stack([facts[index].descriptor_values() for index in readable])
        patients = [rows[index].patient_id for index in readable]
        clusters = cluster_duplicates(descriptors, patients, modality=rows[0].modality)
        near_pairs = np.asarray(readable, dtype=np.int64)[clusters.pairs]
    patient_pairs = _same(row.patient_id for row in rows)
    copies = np.concatenate([exact_pairs, near_pairs])
    return Together(
        group=closure(count, np.concatenate([copies, patient_pairs])),
        exact=closure(count, exact_pairs),
        near=closure(count, copies),
    )


def _same(values: Iterable[str]) -> NDArray[np.int64]:
    first: dict[str, int] = {}
    pairs = [(first.setdefault(value, index), index) for index, value in enumerate(values)]
    return np.asarray([pair for pair in pairs if pair[0] != pair[1]], dtype=np.int64).reshape(-1, 2)


def sets_of_copies(group: Groups) -> list[list[int]]:
    """Return the rows of every set with more than one."""
    members: dict[int, list[int]] = {}
    for index, number in enumerate(group.tolist()):
        members.setdefault(number, []).append(index)
    return [found for found in members.values() if len(found) > 1]


def named_patients(rows: Sequence[Row], members: Sequence[int]) -> set[str]:
    """Return the patients that the source itself names among some rows."""
    return {rows[i].patient_id for i in members if rows[i].extra.get("patient_id_source") != OWN_PATIENT}


def joined_patients(rows: Sequence[Row], together: Together) -> dict[int, str]:
    """Return row → patient for rows whose source names none and whose group has more than one picture.

    A patient that the source names anywhere in the group is taken, else the first picture's own.
    """
    joined: dict[int, str] = {}
    for members in sets_of_copies(together.group):
        named = sorted(named_patients(rows, members))
        patient = named[0] if named else rows[members[0]].patient_id
        joined.update({i: patient for i in members if rows[i].extra.get("patient_id_source") == OWN_PATIENT})
    return joined


def row_reasons(rows: Sequence[Row], facts: Sequence[PictureFacts], together: Together) -> list[str]:
    """Return for each row why it is left out, empty where it is used."""
    reasons = [_own_reason(found) for found in facts]
    for members in sets_of_copies(together.exact):
        if len({rows[index].label for index in members}) > 1:
            for index in members:
                reasons[index] = reasons[index] or "exact_copies_with_other_labels"
            continue
        usable = [index for index in members if not reasons[index]]
        for index in usable[1:]:
            reasons[index] = "exact_copy"
    return reasons


def _own_reason(found: PictureFacts) -> str:
    if found.reason:
        return found.reason
    if found.wrong_modality:
        return f"wrong_modality:{found.wrong_modality}"
    return f"ungradable:{found.reasons[0]}" if found.verdict == "reject" else ""


def counted(reasons: Sequence[str]) -> Counter[str]:
    """Return how many rows are left out for each reason."""
    return Counter(reason for reason in reasons if reason)
