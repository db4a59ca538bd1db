"""The FHIR bundle and the JSON report: valid, traceable, and an eye without an answer is never a negative."""

import base64
import json

import pytest

from eyebright_common.release import Eye, Verdict
from eyebright_edge.reports.fhir_report import fhir_bundle
from eyebright_edge.reports.json_report import report_json
from eyebright_edge.screening.visit_result import VisitResult
from visit_results import eye_result, visit_result

EVERY = (Verdict.REFER, Verdict.NO_REFERRAL, Verdict.UNGRADABLE, None)


def _of_kind(bundle: dict, kind: str) -> list[dict]:
    return [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == kind]


@pytest.mark.parametrize("verdict", EVERY)
@pytest.mark.parametrize("patient", ["P-1", ""])
def test_the_bundle_is_valid(verdict: Verdict | None, patient: str) -> None:
    # R4B (4.3.0): the module of that name; the package's default would judge by R5, which is another standard.
    r4b = pytest.importorskip("fhir.resources.R4B.bundle")
    bundle = fhir_bundle(visit_result(verdict, patient=patient), clinic="Riverside", pdf=b"%PDF-1.4")
    read = r4b.Bundle.model_validate_json(json.dumps(bundle))
    kinds = [entry.resource.get_resource_type() for entry in read.entry]
    assert kinds.count("Observation") == len(visit_result(verdict).eyes)
    assert kinds.count("Patient") == bool(patient)


def test_every_reference_is_in_the_bundle() -> None:
    bundle = fhir_bundle(visit_result())
    inside = {entry["fullUrl"] for entry in bundle["entry"]}
    report, *_ = _of_kind(bundle, "DiagnosticReport")
    observations = _of_kind(bundle, "Observation")
    named = {r["reference"] for r in report["result"]} | {o["device"]["reference"] for o in observations}
    assert named | {report["subject"]["reference"]} <= inside
    assert len(inside) == len(bundle["entry"])


def test_an_eye_without_an_answer_has_a_reason_and_no_value() -> None:
    right, left = _of_kind(fhir_bundle(visit_result(Verdict.UNGRADABLE)), "Observation")
    assert "valueCodeableConcept" not in right
    assert right["dataAbsentReason"]["coding"][0]["code"] == "unknown"
    assert right["dataAbsentReason"]["text"] == "uneven light, haze"
    assert left["dataAbsentReason"]["coding"][0]["code"] == "not-performed"


def test_an_eye_with_an_answer_has_it_with_its_side_and_score() -> None:
    right, left = _of_kind(fhir_bundle(visit_result()), "Observation")
    assert right["valueCodeableConcept"]["coding"][0]["code"] == "refer"
    assert left["valueCodeableConcept"]["coding"][0]["code"] == "no-referral"
    assert [eye["bodySite"]["coding"][0]["display"] for eye in (right, left)] == [
        "Right eye structure",
        "Left eye structure",
    ]
    assert right["component"][1]["valueQuantity"]["value"] == 0.91
    assert "dataAbsentReason" not in right


def test_the_device_is_the_release() -> None:
    (device,) = _of_kind(fhir_bundle(visit_result()), "Device")
    assert device["identifier"][0]["value"] == "c" * 64
    assert device["version"][0]["value"] == "7"
    assert device["serialNumber"] == "clinic-7"


def test_the_printed_page_can_be_enclosed() -> None:
    (report,) = _of_kind(fhir_bundle(visit_result(), pdf=b"%PDF-1.4 x"), "DiagnosticReport")
    assert base64.b64decode(report["presentedForm"][0]["data"]) == b"%PDF-1.4 x"
    assert "Research use. Not for diagnosis." in report["conclusion"]


def test_the_same_visit_has_the_same_identifiers_and_another_has_others() -> None:
    assert fhir_bundle(visit_result()) == fhir_bundle(visit_result())
    first, second = (fhir_bundle(visit_result(number=number)) for number in (1, 2))
    assert {e["fullUrl"] for e in first["entry"]}.isdisjoint(e["fullUrl"] for e in second["entry"])


@pytest.mark.parametrize("verdict", EVERY)
def test_the_json_report_traces_the_answer_and_names_no_file(verdict: Verdict | None) -> None:
    facts = report_json(visit_result(verdict), clinic="Riverside")
    text = json.dumps(facts, allow_nan=False)
    assert facts["answer"]["verdict"] == verdict
    assert facts["release"]["sha256"] == "c" * 64
    assert facts["release"]["threshold"]["value"] == 0.42
    assert "Doe" not in text
    assert "Doe" not in json.dumps(fhir_bundle(visit_result(verdict)))


def test_an_eye_of_unknown_side_is_reported_too() -> None:
    result: VisitResult = visit_result(Verdict.REFER, eyes=(eye_result(Eye.UNKNOWN, Verdict.REFER, score=0.7),))
    (observation,) = _of_kind(fhir_bundle(result), "Observation")
    assert observation["bodySite"]["coding"][0]["display"] == "Eye structure"
