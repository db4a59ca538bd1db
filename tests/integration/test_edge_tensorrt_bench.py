"""`eyebright edge bench`: measured, signed, and honest about what it was measured on."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eyebright_common.errors import InputError, TrustError
from eyebright_common.trust import CertificateAuthority, Role, UnitIdentity
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.commands import app
from eyebright_edge.runtime import OnnxRuntime, open_runtime
from eyebright_edge.runtime.bench import SignedBench, measure, report_lines, sign_report, verify_report
from fake_tensorrt_board import board
from tiny_release import write_tiny_release

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def enrolled(folder: Path, tmp_path: Path, name: str = "unit-1") -> UnitIdentity:
    authority = CertificateAuthority.create(tmp_path / f"authority-{name}", now=NOW)
    request = UnitIdentity.begin(folder, name=name)
    return UnitIdentity.complete(
        folder,
        certificate_pem=authority.sign_request(request, role=Role.UNIT, name=name, now=NOW).pem,
        authority_pem=authority.certificate_pem,
        root_metadata=b"{}",
        distribution_address="127.0.0.1:1",
    )


def ticking() -> Iterator[float]:
    """A timer by which picture k takes k milliseconds."""
    now = 0.0
    for number in range(1, 10_000):
        yield now
        now += number / 1000
        yield now


def test_percentiles_and_throughput_are_those_of_the_times(tmp_path: Path) -> None:
    release = write_tiny_release(tmp_path)
    timer = ticking()
    report = measure(
        OnnxRuntime(tmp_path),
        tmp_path,
        release,
        unit="unit-1",
        pictures=101,
        clock=lambda: NOW,
        timer=lambda: next(timer),
    )
    # 1, 2, … 101 ms: the median is 51, the 90th percentile 91, the mean 51; all together take 5.151 s.
    times = report.milliseconds
    assert (times.p50, times.p90, times.p95, times.p99, times.mean) == pytest.approx((51, 91, 96, 100, 51))
    assert report.pictures_per_second == pytest.approx(101 / 5.151, abs=1e-3)
    assert report.hardware == "not measured on hardware"
    assert report.memory_bytes > 0
    assert report.worker_memory_bytes == 0


def test_with_tensorrt_it_names_the_gpu_and_counts_as_hardware(tmp_path: Path) -> None:
    release = write_tiny_release(tmp_path / "release")
    runtime = open_runtime(tmp_path / "release", settings=board(tmp_path), build=True)
    report = measure(runtime, tmp_path / "release", release, unit="unit-1", pictures=3, clock=lambda: NOW)
    runtime.close()
    assert report.hardware == "measured on hardware"
    assert (report.fingerprint.gpu, report.fingerprint.tensorrt) == ("Fake Maxwell", "10.3.0")
    assert report.worker_memory_bytes > 0
    assert report.device_memory_bytes == 4096
    assert any("Fake Maxwell, TensorRT 10.3.0" in line for line in report_lines(report))


def test_nothing_to_measure_is_a_mistake(tmp_path: Path) -> None:
    release = write_tiny_release(tmp_path)
    with pytest.raises(InputError, match="--pictures"):
        measure(OnnxRuntime(tmp_path), tmp_path, release, unit="unit-1", pictures=0, clock=lambda: NOW)


def test_a_report_is_believed_only_with_the_units_own_signature(tmp_path: Path) -> None:
    release = write_tiny_release(tmp_path / "release")
    identity = enrolled(tmp_path / "identity", tmp_path)
    report = measure(
        OnnxRuntime(tmp_path / "release"),
        tmp_path / "release",
        release,
        unit="unit-1",
        pictures=2,
        clock=lambda: NOW,
    )
    signed = sign_report(report, identity)
    assert verify_report(signed.to_json()) == report
    faster = report.model_copy(update={"pictures_per_second": 1e6})
    with pytest.raises(TrustError, match="does not hold"):
        verify_report(signed.model_copy(update={"report": faster}).to_json())
    other = enrolled(tmp_path / "other", tmp_path, name="unit-2")
    with pytest.raises(TrustError, match="another unit"):
        verify_report(sign_report(report, other).to_json())
    borrowed = SignedBench(
        report=report, signature=sign_report(report, other).signature, certificate=signed.certificate
    )
    with pytest.raises(TrustError, match="does not hold"):
        verify_report(borrowed.to_json())
    with pytest.raises(TrustError, match="cannot be read"):
        verify_report(b"{}")


def unit_with_release(tmp_path: Path) -> UnitHome:
    home = UnitHome(tmp_path / "unit")
    home.create()
    write_tiny_release(home.release_folder("1"))
    home.activate("1")
    return home


def test_the_command_prints_a_signed_report(tmp_path: Path) -> None:
    home = unit_with_release(tmp_path)
    identity = enrolled(home.identity, tmp_path)
    out = tmp_path / "bench.json"
    arguments = ["bench", "--home", str(home.root), "--pictures", "3", "--json", "--out", str(out)]
    done = CliRunner().invoke(app, arguments, env={"EYEBRIGHT_RUNTIME": "onnxruntime-cpu"})
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == json.loads(out.read_bytes())
    report = verify_report(out.read_bytes())
    assert (report.unit, report.hardware, report.pictures) == ("unit-1", "not measured on hardware", 3)
    assert str(tmp_path) not in out.read_text()
    assert identity.name == report.unit
    private = (home.identity / "key.pem").read_text().splitlines()[1]
    assert private not in out.read_text()


def test_the_command_says_in_words_that_it_was_not_measured_on_hardware(tmp_path: Path) -> None:
    home = unit_with_release(tmp_path)
    enrolled(home.identity, tmp_path)
    arguments = ["bench", "--home", str(home.root), "--pictures", "2"]
    done = CliRunner().invoke(app, arguments, env={"EYEBRIGHT_RUNTIME": "onnxruntime-cpu"})
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[0] == "not measured on hardware"


def test_a_unit_that_is_not_enrolled_cannot_sign(tmp_path: Path) -> None:
    home = unit_with_release(tmp_path)
    done = CliRunner().invoke(app, ["bench", "--home", str(home.root)])
    assert isinstance(done.exception, TrustError)
    assert "Enrol" in str(done.exception)
