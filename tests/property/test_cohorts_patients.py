"""Who comes to a site: exact shares, both eyes, and bad pictures in every class."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright_common.errors import InputError
from eyebright_simulations.cohorts import SiteSpec, default_sites
from eyebright_simulations.cohorts.case import FAULTS
from eyebright_simulations.cohorts.fundus import camera_style
from eyebright_simulations.cohorts.patients import UNGRADABLE_SHARE, draw_patients

CLASSES = ("normal", "diabetic_retinopathy", "glaucoma", "cataract")


def site(mix, patients, name="somewhere"):
    return SiteSpec(name=name, style=camera_style(0), patients=patients, label_mix=mix)


@given(
    weights=st.lists(st.integers(0, 20), min_size=4, max_size=4).filter(any),
    patients=st.integers(1, 120),
    seed=st.integers(0, 2**31),
)
def test_patients_follow_the_mix_to_within_one(weights, patients, seed):
    mix = dict(zip(CLASSES, weights, strict=True))
    cases = draw_patients(site(mix, patients), healthy="normal", seed=seed)
    assert len(cases) == 2 * patients
    # The worse eye tells what the patient came with; a spared eye is healthy.
    worse = {case.patient_id: case.label for case in sorted(cases, key=lambda case: case.label != "normal")}
    counts = Counter(worse.values())
    for label, weight in mix.items():
        assert abs(counts[label] - weight / sum(weights) * patients) < 1


@given(seed=st.integers(0, 2**31))
def test_a_healthy_eye_has_no_severity_and_a_diseased_one_lies_in_the_unit_interval(seed):
    for case in draw_patients(site(dict.fromkeys(CLASSES, 1.0), 20), healthy="normal", seed=seed):
        assert 0 <= case.severity <= 1
        assert case.label != "normal" or case.severity == 0


@given(seed=st.integers(0, 2**31))
def test_eyes_of_one_patient_share_age_sex_and_build(seed):
    cases = draw_patients(site(dict.fromkeys(CLASSES, 1.0), 10), healthy="normal", seed=seed)
    for right, left in zip(cases[::2], cases[1::2], strict=True):
        assert (right.eye, left.eye) == ("R", "L")
        assert (right.age_band, right.sex, right.patient_entropy) == (left.age_band, left.sex, left.patient_entropy)
        assert right.eye_entropy != left.eye_entropy


def test_ungradable_pictures_come_in_every_class_and_every_kind():
    cases = draw_patients(site(dict.fromkeys(CLASSES, 1.0), 2000), healthy="normal", seed=11)
    spoilt = Counter((case.label, case.fault) for case in cases if case.fault)
    assert set(spoilt) == {(label, fault) for label in CLASSES for fault in FAULTS}
    assert sum(spoilt.values()) / len(cases) == pytest.approx(UNGRADABLE_SHARE, abs=0.01)


@pytest.mark.parametrize("task_name", ["fundus", "oct"])
def test_every_hospital_has_every_class_and_favours_one(task_name):
    for spec in default_sites(5, task_name=task_name)[1:]:
        weights = sorted(spec.label_mix.values())
        assert weights[0] > 0
        assert weights[-1] > weights[-2]


def test_any_number_of_sites_has_devices_of_its_own():
    names = [spec.style.name for spec in default_sites(12)]
    assert len(set(names)) == len(names) == 13


def test_a_cohort_without_hospitals_is_refused():
    with pytest.raises(InputError, match="at least one hospital"):
        default_sites(0)


@pytest.mark.parametrize(("patients", "mix"), [(0, {"normal": 1.0}), (3, {}), (3, {"normal": 0.0})])
def test_a_site_without_patients_or_diseases_is_refused(patients, mix):
    with pytest.raises(InputError, match="somewhere"):
        site(mix, patients)
