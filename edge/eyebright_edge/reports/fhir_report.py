"""A visit as a FHIR R4 bundle: what a clinic's record system takes in.

* A transaction of one DiagnosticReport, one Observation per eye, the Device that answered, the Patient where a code was
  given. Written to a file; posting it is the clinic's business.
* An eye without an answer has no value but a ``dataAbsentReason``: ``not-performed`` where no picture was taken,
  ``unknown`` where none could be judged, with the reason in words. It is never a negative.
* R4 (4.0.1) is what record systems take; the resources and fields used here are the same in R4B (4.3.0), by whose
  models the tests judge it. R5, where ``Device`` and ``Bundle`` differ, is not written.
* Codes: SNOMED CT for body sites, HL7's own tables, and Eyebright's own words under ``urn:eyebright:``. Screening
  answers have no standard code that we could verify.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from eyebright_common import __version__
from eyebright_common.release import Eye, Verdict
from eyebright_edge.reports.json_report import answered_at, report_id
from eyebright_edge.screening.visit_result import EyeResult, VisitResult

_HL7 = "http://terminology.hl7.org/CodeSystem"
_SITES = {
    Eye.RIGHT: ("18944008", "Right eye structure"),
    Eye.LEFT: ("8966001", "Left eye structure"),
    Eye.UNKNOWN: ("81745001", "Eye structure"),
}
_ABSENT = {Verdict.MISSING: ("not-performed", "Not Performed"), Verdict.UNGRADABLE: ("unknown", "Unknown")}
_NEXT_STEP = {
    Verdict.REFER: "Refer to an ophthalmologist.",
    Verdict.NO_REFERRAL: "No referral; screen again.",
    Verdict.UNGRADABLE: "Not gradable: take new pictures or refer. Not a negative.",
    None: "Screening was stopped by the checklist. Not a negative.",
}


def fhir_bundle(result: VisitResult, *, clinic: str = "", pdf: bytes | None = None) -> dict[str, Any]:
    """Return the visit as a FHIR R4 transaction bundle, in JSON.

    Args:
        result: The visit.
        clinic: Name of the clinic, the report's performer.
        pdf: The printed report, to be enclosed.
    """
    observations = [_observation(result, eye) for eye in result.eyes]
    resources = [_report(result, clinic, pdf), *observations, _device(result)]
    if result.patient:
        resources.append(_patient(result))
    at = answered_at(result).isoformat()
    entries = [
        {
            "fullUrl": f"urn:uuid:{resource['id']}",
            "resource": resource,
            "request": {"method": "POST", "url": resource["resourceType"]},
        }
        for resource in resources
    ]
    return {
        "resourceType": "Bundle",
        "id": str(report_id(result, "bundle")),
        "type": "transaction",
        "timestamp": at,
        "entry": entries,
    }


def bundle_bytes(bundle: dict[str, Any]) -> bytes:
    """Return a bundle as the bytes of a file."""
    return (json.dumps(bundle, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")


def _report(result: VisitResult, clinic: str, pdf: bytes | None) -> dict[str, Any]:
    due = f" By {result.due.isoformat()}." if result.due else ""
    conclusion = f"{_word(result.verdict)}. {_NEXT_STEP[result.verdict]}{due}"
    content: dict[str, Any] = {
        "resourceType": "DiagnosticReport",
        "id": str(report_id(result, "report")),
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": report_id(result).urn}],
        # Preliminary: a screening answer that no person has read.
        "status": "preliminary",
        "category": [_coded(f"{_HL7}/v2-0074", "OTH", "Other")],
        "code": {
            "coding": [{"system": "urn:eyebright:report", "code": result.task, "display": "Retinal screening"}],
            "text": "Retinal screening",
        },
        "effectiveDateTime": result.opened_at.isoformat(),
        "issued": answered_at(result).isoformat(),
        "result": [_reference(result, _eye_part(eye)) for eye in result.eyes],
        "conclusion": " ".join((conclusion, *result.notices, result.research_use)),
        "conclusionCode": [_coded("urn:eyebright:verdict", _code(result.verdict), _word(result.verdict))],
        **_subject(result),
    }
    if clinic:
        content["performer"] = [{"display": clinic}]
    if not content["result"]:
        del content["result"]
    if pdf is not None:
        enclosed = base64.b64encode(pdf).decode("ascii")
        content["presentedForm"] = [{"contentType": "application/pdf", "data": enclosed, "title": "Printed report"}]
    return content


def _observation(result: VisitResult, eye: EyeResult) -> dict[str, Any]:
    code, display = _SITES[eye.eye]
    content: dict[str, Any] = {
        "resourceType": "Observation",
        "id": str(report_id(result, _eye_part(eye))),
        "status": "preliminary",
        "category": [_coded(f"{_HL7}/observation-category", "imaging", "Imaging")],
        "code": {
            "coding": [{"system": "urn:eyebright:observation", "code": f"{result.task}-{result.threshold_purpose}"}],
            "text": f"Screening of one eye ({result.task}, {result.threshold_purpose})",
        },
        "bodySite": _coded("http://snomed.info/sct", code, display),
        "effectiveDateTime": result.opened_at.isoformat(),
        "issued": answered_at(result).isoformat(),
        "method": {"text": f"Referral at a score of {result.threshold} or more ({result.threshold_rule})"},
        "device": _reference(result, "device"),
        "component": _components(eye),
        **_subject(result),
    }
    if eye.verdict in _ABSENT:
        absent = _coded(f"{_HL7}/data-absent-reason", *_ABSENT[eye.verdict])
        reasons = ", ".join(eye.quality_reasons).replace("_", " ")
        content["dataAbsentReason"] = {**absent, "text": reasons or absent["coding"][0]["display"]}
    else:
        content["valueCodeableConcept"] = _coded("urn:eyebright:verdict", _code(eye.verdict), _word(eye.verdict))
    return content


def _components(eye: EyeResult) -> list[dict[str, Any]]:
    quality = {"code": {"text": "Picture quality"}}
    parts: list[dict[str, Any]] = []
    if eye.quality:
        parts.append({**quality, "valueCodeableConcept": _coded("urn:eyebright:quality", eye.quality, eye.quality)})
    else:
        absent = _coded(f"{_HL7}/data-absent-reason", "not-performed", "Not Performed")
        parts.append({**quality, "dataAbsentReason": absent})
    if eye.score is not None:
        score = {"code": {"text": "Probability of a referable finding"}}
        parts.append({**score, "valueQuantity": {"value": round(eye.score, 4), "unit": "1"}})
    return parts


def _device(result: VisitResult) -> dict[str, Any]:
    content: dict[str, Any] = {
        "resourceType": "Device",
        "id": str(report_id(result, "device")),
        "identifier": [{"system": "urn:eyebright:release:sha256", "value": result.release_sha256}],
        "deviceName": [{"name": f"Eyebright {result.task}", "type": "model-name"}],
        "version": [
            {"type": {"text": "release"}, "value": result.release},
            {"type": {"text": "software"}, "value": __version__},
        ],
        "type": {"text": "Retinal screening software"},
        "note": [{"text": result.research_use}],
    }
    if result.unit:
        content["serialNumber"] = result.unit
    return content


def _patient(result: VisitResult) -> dict[str, Any]:
    identifier = [{"system": "urn:eyebright:patient-code", "value": result.patient}]
    return {"resourceType": "Patient", "id": str(report_id(result, "patient")), "identifier": identifier}


def _subject(result: VisitResult) -> dict[str, Any]:
    return {"subject": _reference(result, "patient")} if result.patient else {}


def _reference(result: VisitResult, part: str) -> dict[str, str]:
    return {"reference": report_id(result, part).urn}


def _eye_part(eye: EyeResult) -> str:
    return f"eye-{eye.eye.value}"


def _coded(system: str, code: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": display}]}


def _word(verdict: Verdict | None) -> str:
    return "STOPPED" if verdict is None else verdict.value


def _code(verdict: Verdict | None) -> str:
    return _word(verdict).lower().replace(" ", "-")
