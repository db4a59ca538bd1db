"""``eyebright edge bench``: how fast this very unit screens, as a report that its own key signs.

* The network is timed on the release's golden pictures, one at a time, after a warm-up, as a visit would call it.
  Reading a picture from its file and judging its quality are not part of it.
* Before it is timed, the runtime is proven; a fast wrong answer is no figure.
* Only TensorRT on the unit's own GPU counts as hardware. Everything else says ``not measured on hardware``.
* The report names board, GPU, driver, TensorRT, power mode, release and runtime. Whoever reads a number sees where it
  is from; whoever doubts it verifies the signature with the certificate that travels along.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import datetime
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import AwareDatetime, Field, ValidationError

from eyebright_common.documents import StrictDocument, problems_of
from eyebright_common.errors import InputError, TrustError
from eyebright_common.memory import peak_resident_bytes
from eyebright_common.release import RELEASE_FILE, Precision, Release, sha256_of
from eyebright_common.release.engines import EngineProof, Fingerprint
from eyebright_common.trust import UnitIdentity
from eyebright_common.trust.certificates import load_certificate, read_identity
from eyebright_common.trust.keys import load_certificate_key
from eyebright_edge.runtime.fallback import RuntimeWithReserve
from eyebright_edge.runtime.golden import golden_for, prove_runtime
from eyebright_edge.runtime.machine import fingerprint
from eyebright_edge.runtime.protocol import Runtime

MEASURED: Literal["measured on hardware"] = "measured on hardware"
NOT_MEASURED: Literal["not measured on hardware"] = "not measured on hardware"

_PREFIX = b"eyebright bench 1\n"
_WARM_UP = 5
_POWER_MODE = Path("/var/lib/nvpmodel/status")


class Latency(StrictDocument):
    """Milliseconds per picture."""

    p50: float = Field(ge=0.0)
    p90: float = Field(ge=0.0)
    p95: float = Field(ge=0.0)
    p99: float = Field(ge=0.0)
    mean: float = Field(ge=0.0)


class BenchReport(StrictDocument):
    """What was measured, and on what.

    Attributes:
        schema_: Version of this document's shape.
        unit: The unit's name, as in its certificate.
        at: When.
        software: Version of Eyebright.
        task: Of the release.
        version: Of the release.
        release_sha256: Digest of its ``release.json``.
        runtime: What computed.
        precision: In what.
        hardware: Whether this is a figure of the unit's GPU under TensorRT.
        fingerprint: The machine.
        processors: How many CPU cores.
        power_mode: As the board's own tool keeps it; empty where there is none.
        pictures: How many were timed.
        milliseconds: Per picture, the whole call.
        pictures_per_second: One after the other.
        memory_bytes: Most resident memory of the unit's own process.
        worker_memory_bytes: The same of the TensorRT worker; 0 without one.
        device_memory_bytes: What the engine takes of the GPU's; 0 without one.
        proof: How the runtime did on the golden cases.
        notices: What a person must know.
    """

    schema_: Literal["eyebright.bench/1"] = Field(default="eyebright.bench/1", alias="schema")
    unit: str
    at: AwareDatetime
    software: str
    task: str
    version: str
    release_sha256: str
    runtime: str
    precision: Precision
    hardware: Literal["measured on hardware", "not measured on hardware"]
    fingerprint: Fingerprint
    processors: int = Field(ge=1)
    power_mode: str
    pictures: int = Field(ge=1)
    milliseconds: Latency
    pictures_per_second: float = Field(gt=0.0)
    memory_bytes: int = Field(ge=0)
    worker_memory_bytes: int = Field(ge=0)
    device_memory_bytes: int = Field(ge=0)
    proof: EngineProof
    notices: tuple[str, ...] = ()


class SignedBench(StrictDocument):
    """A report, its signature (ECDSA with SHA-256, hexadecimal) and the certificate of the key that made it."""

    report: BenchReport
    signature: str
    certificate: str


def measure(
    runtime: Runtime,
    folder: Path,
    release: Release,
    *,
    unit: str,
    pictures: int,
    clock: Callable[[], datetime],
    timer: Callable[[], float] = time.perf_counter,
) -> BenchReport:
    """Prove a runtime, time it and return the report.

    Args:
        runtime: Has the release loaded.
        folder: The release's folder.
        release: The release, verified.
        unit: The unit's name.
        pictures: How many to time.
        clock: The present time, aware.
        timer: Seconds, rising.

    Raises:
        InputError: no picture is to be timed.
        GoldenMismatch: the runtime computes something else than it should.
    """
    if pictures < 1:
        raise InputError("nothing would be measured", value=pictures, fix="Give --pictures 1 or more.")
    report = prove_runtime(runtime, folder, release)
    report.require(runtime.name)
    seconds = _time(runtime, golden_for(runtime.precision, folder, release).inputs, pictures, timer)
    served = runtime.serving if isinstance(runtime, RuntimeWithReserve) else runtime
    own = getattr(served, "fingerprint", None)
    p50, p90, p95, p99 = (round(float(value) * 1000, 3) for value in np.percentile(seconds, (50, 90, 95, 99)))
    return BenchReport(
        unit=unit,
        at=clock(),
        software=installed_version("eyebright"),
        task=release.task,
        version=release.version,
        release_sha256=sha256_of(folder / RELEASE_FILE),
        runtime=runtime.name,
        precision=runtime.precision,
        hardware=MEASURED if runtime.name.startswith("tensorrt") else NOT_MEASURED,
        fingerprint=own if isinstance(own, Fingerprint) else fingerprint(),
        processors=os.cpu_count() or 1,
        power_mode=_power_mode(),
        pictures=pictures,
        milliseconds=Latency(p50=p50, p90=p90, p95=p95, p99=p99, mean=round(float(np.mean(seconds)) * 1000, 3)),
        pictures_per_second=round(pictures / float(np.sum(seconds)), 3),
        memory_bytes=peak_resident_bytes(),
        worker_memory_bytes=int(getattr(served, "worker_memory_bytes", 0)),
        device_memory_bytes=int(getattr(served, "device_memory_bytes", 0)),
        proof=EngineProof.of(report),
        notices=runtime.notices,
    )


def sign_report(report: BenchReport, identity: UnitIdentity) -> SignedBench:
    """Return the report signed with the unit's key.

    Raises:
        TrustError: the key cannot be read.
    """
    key = load_certificate_key(identity.folder / "key.pem")
    signature = key.sign(_signed_bytes(report), ec.ECDSA(hashes.SHA256()))
    certificate = (identity.folder / "certificate.pem").read_text("ascii")
    return SignedBench(report=report, signature=signature.hex(), certificate=certificate)


def verify_report(data: bytes) -> BenchReport:
    """Return the report in ``data`` when the key of its certificate signed it, and the certificate is the unit's.

    That the certificate is one of the operator's own is for the caller to check, who has the authority.

    Raises:
        TrustError: it is no signed report, or the signature does not hold.
    """
    try:
        signed = SignedBench.model_validate_json(data)
    except ValidationError as error:
        raise TrustError("a bench report cannot be read", value=problems_of(error, whole="report")[0]) from None
    certificate = signed.certificate.encode("ascii", "replace")
    public = load_certificate(certificate).public_key()
    try:
        assert isinstance(public, ec.EllipticCurvePublicKey), "certificates are for ECDSA keys"
        public.verify(bytes.fromhex(signed.signature), _signed_bytes(signed.report), ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError):
        raise TrustError("the signature of a bench report does not hold", value=signed.report.unit) from None
    named = read_identity(certificate).name
    if named != signed.report.unit:
        raise TrustError("a bench report was signed by another unit", value=f"{signed.report.unit}, signed by {named}")
    return signed.report


def report_lines(report: BenchReport) -> tuple[str, ...]:
    """Return the report in words."""
    machine, times = report.fingerprint, report.milliseconds
    accelerator = f"{machine.gpu}, TensorRT {machine.tensorrt}, CUDA {machine.cuda}"
    memory = f"unit {report.memory_bytes >> 20} MB"
    if report.worker_memory_bytes:
        memory += f", worker {report.worker_memory_bytes >> 20} MB, engine {report.device_memory_bytes >> 20} MB on GPU"
    return (
        report.hardware,
        f"unit       {report.unit}: {machine.board}, {machine.machine}, {report.processors} cores",
        f"GPU        {accelerator if report.hardware == MEASURED else 'not used'}",
        f"release    {report.task} {report.version}",
        f"runtime    {report.runtime}; {report.proof.cases} golden cases, "
        f"logits within {report.proof.max_abs_logit_difference:.2g} (allowed {report.proof.tolerance:.2g})",
        f"picture    {times.p50:.2f} ms median, {times.p90:.2f} p90, {times.p95:.2f} p95, {times.p99:.2f} p99",
        f"throughput {report.pictures_per_second:.1f} pictures per second over {report.pictures} pictures",
        f"memory     {memory}",
        *report.notices,
    )


def _time(runtime: Runtime, inputs: npt.NDArray[np.uint8], pictures: int, timer: Callable[[], float]) -> list[float]:
    images = [one[None].astype(np.float32) for one in inputs]
    for number in range(_WARM_UP):
        runtime.run(images[number % len(images)])
    seconds = []
    for number in range(pictures):
        began = timer()
        runtime.run(images[number % len(images)])
        seconds.append(timer() - began)
    return seconds


def _signed_bytes(report: BenchReport) -> bytes:
    content = json.dumps(report.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return _PREFIX + content.encode()


def _power_mode() -> str:
    try:
        return _POWER_MODE.read_text("ascii", "replace").strip()[:120]
    except OSError:
        return ""
