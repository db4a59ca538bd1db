"""What a site tells the gate: patients as a visit decides them, disagreements, and no part that could be one person."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright_common.errors import EyebrightError, InputError
from eyebright_common.release import Eye
from eyebright_common.release.evidence import Outcomes, SiteEvidence, read_evidence
from eyebright_common.tasks import get_task
from eyebright_learning.evaluation.counts import EvaluationCounts
from eyebright_server.release.site_evidence import About, Answered, evidence_of, validation_evidence
from gate_evidence import site
from release_folders import write_release

TASK = get_task("oct-dme")
REFER, LET_GO = np.array([-3.0, 3.0], np.float32), np.array([3.0, -3.0], np.float32)


def picture(patient: str, label: int, said: np.ndarray | None, *, eye: str = "R", **more: object) -> Answered:
    return Answered(patient=patient, eye=Eye(eye), label=label, candidate=said, **more)


@pytest.fixture
def about(tmp_path: Path) -> About:
    release = write_release(tmp_path / "1")
    return About(site="north", task=TASK, release=release, model_sha256="c" * 64, others={"incumbent": release})


def test_a_patient_is_one_case_however_many_pictures(about: About) -> None:
    pictures = [
        picture("a", 1, LET_GO, eye="R"),
        picture("a", 0, REFER, eye="L"),  # the visit says REFER, and one eye is ill
        picture("b", 0, LET_GO, eye="R"),
        picture("b", 0, None, eye="L"),  # one eye ungradable: no negative
        picture("c", 1, LET_GO),
        picture("d", 0, REFER),
        picture("e", 0, LET_GO),
        picture("f", 1, None),
    ]
    found = evidence_of(pictures, about)
    assert found.outcomes == Outcomes(
        true_positive=1,
        false_negative=1,
        false_positive=1,
        true_negative=1,
        ungradable_positive=1,
        ungradable_negative=1,
    )
    assert EvaluationCounts.from_dict(found.counts, task=TASK).n == 6


def test_disagreements_are_counted_on_patients_that_both_can_grade(about: About) -> None:
    pairs = [(1, LET_GO, REFER)] * 3 + [(1, REFER, LET_GO)] * 2 + [(0, REFER, LET_GO)] + [(0, LET_GO, REFER)] * 4
    pairs += [(1, REFER, REFER), (0, LET_GO, LET_GO), (1, None, REFER), (1, REFER, None)]
    pictures = [picture(str(n), y, now, others={"incumbent": old}) for n, (y, now, old) in enumerate(pairs)]
    told = evidence_of(pictures, about).against["incumbent"]
    assert (told.missed, told.found, told.alarmed, told.calmed) == (3, 2, 1, 4)
    assert (told.positives, told.negatives) == (6, 6)


def test_parts_below_the_sites_floor_are_not_told(about: About) -> None:
    pictures = [picture(str(n), n % 2, REFER, facts={"sex": "F" if n < 30 else "M"}) for n in range(35)]
    assert set(evidence_of(pictures, about).parts["sex"]) == {"F"}


def test_each_eye_is_a_part_in_which_a_patient_counts_once_by_that_eye_alone(about: About) -> None:
    pictures = [
        one for n in range(12) for one in (picture(f"{n}", 1, REFER, eye="R"), picture(f"{n}", 1, LET_GO, eye="L"))
    ]
    pictures += [picture("0", 1, REFER, eye="R"), picture("u", 1, LET_GO, eye="U")]
    found = evidence_of(pictures, about)
    assert found.parts["eye"] == {"left": Outcomes(false_negative=12), "right": Outcomes(true_positive=12)}
    assert found.outcomes == Outcomes(true_positive=12, false_negative=1)


def test_a_marked_patient_who_is_let_go_is_missed_and_an_ungradable_one_is_not(about: About) -> None:
    pictures = [picture(str(n), 1, said, must_refer=True) for n, said in enumerate([REFER, LET_GO, None])]
    assert evidence_of(pictures, about).must_refer.model_dump() == {"cases": 3, "missed": 1}


def test_validation_counts_are_pictures_of_a_student_in_training() -> None:
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.1, 0.9]])
    counts = EvaluationCounts.of(p, [0, 1, 1, 0], task=TASK)
    found = validation_evidence("hospital-0", counts, threshold=0.5, task=TASK)
    assert (found.split, found.unit, found.model_sha256) == ("validation", "picture", None)
    assert found.outcomes == Outcomes(true_positive=1, false_negative=1, true_negative=1, false_positive=1)


def test_counts_come_back_from_their_own_file(tmp_path: Path) -> None:
    (tmp_path / "counts.json").write_bytes(site().to_json())
    assert read_evidence(tmp_path / "counts.json") == site()


@pytest.mark.parametrize(
    ("field", "value"),
    [("outcomes", {"true_positive": -1}), ("patients", ["a"]), ("site", ""), ("threshold", 2.0), ("split", "train")],
)
def test_damaged_or_talkative_counts_are_refused(tmp_path: Path, field: str, value: object) -> None:
    said = {**json.loads(site().model_dump_json()), field: value}
    (tmp_path / "counts.json").write_text(json.dumps(said))
    with pytest.raises(InputError, match="counts are damaged"):
        read_evidence(tmp_path / "counts.json")


@given(st.binary(max_size=200))
def test_any_bytes_are_evidence_or_a_clear_error(data: bytes) -> None:
    try:
        SiteEvidence.model_validate_json(data)
    except ValueError:
        return
    raise AssertionError("random bytes became evidence")


def test_missing_counts_are_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(EyebrightError, match="cannot be read"):
        read_evidence(tmp_path / "nowhere.json")
