"""Engines on disk: used again only for the very same everything, dropped when damaged, shared between twins alone."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from eyebright_common.errors import ReleaseError, TargetRejected
from eyebright_common.release.engines import EngineKey, EngineProof, parse_engine_upload
from eyebright_edge.runtime.engine_cache import CachedEngine, EngineCache
from eyebright_edge.runtime.tensorrt import open_tensorrt, probe_tensorrt
from eyebright_edge.runtime.twins import adopt_engine, describe_engine
from eyebright_edge.runtime.worker_process import WorkerFailed
from fake_tensorrt_board import NANO, add_half, board
from tiny_release import REFER_BIAS, write_tiny_release

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def made(tmp_path: Path, folder: str = "release", **how: Any) -> CachedEngine:
    """Open with what is there, building if needed, and return the engine."""
    with open_tensorrt(tmp_path / folder, board(tmp_path, **how), build=True) as runtime:
        return runtime.engine


def test_a_proven_engine_is_used_again_and_a_visit_never_builds_one(tmp_path: Path) -> None:
    write_tiny_release(tmp_path / "release")
    with pytest.raises(WorkerFailed) as not_yet:
        open_tensorrt(tmp_path / "release", board(tmp_path), build=False)
    assert not_yet.value.word == "not-built"
    first = made(tmp_path)
    # Building again would fail: this builder returns nothing.
    with open_tensorrt(tmp_path / "release", board(tmp_path, fault="build-failed"), build=False) as again:
        assert again.engine == first


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [{"gpu": "Other GPU"}, {"version": "10.16"}, {"precision": "fp32"}, {"refit": True}],
    ids=["GPU", "TensorRT", "precision", "flags"],
)
def test_any_change_builds_another_engine(tmp_path: Path, how: dict[str, Any]) -> None:
    write_tiny_release(tmp_path / "release")
    add_half(tmp_path / "release")
    first, other = made(tmp_path), made(tmp_path, **how)
    assert first.key.digest != other.key.digest
    assert other.made == "built"
    assert len(list((tmp_path / "engines").glob("*.engine"))) == 2


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["flipped byte", "cut", "lost", "its note lost", "its note cut"])
def test_a_damaged_engine_is_dropped_and_built_again_with_a_notice(tmp_path: Path, damage: str) -> None:
    write_tiny_release(tmp_path / "release")
    engine = next((tmp_path / "engines" / f"{made(tmp_path).key.digest}.{end}") for end in ("engine",))
    note = engine.with_suffix(".json")
    content = bytearray(engine.read_bytes())
    content[-1] ^= 1
    {
        "flipped byte": lambda: engine.write_bytes(content),
        "cut": lambda: engine.write_bytes(content[:100]),
        "lost": engine.unlink,
        "its note lost": note.unlink,
        "its note cut": lambda: note.write_bytes(note.read_bytes()[:50]),
    }[damage]()
    with open_tensorrt(tmp_path / "release", board(tmp_path), build=True) as runtime:
        assert runtime.engine.made == "built"
        assert runtime.notices == ("A built engine was damaged; it was deleted and is built again.",)
    with open_tensorrt(tmp_path / "release", board(tmp_path), build=False) as runtime:
        assert runtime.notices == ()


@pytest.mark.slow
def test_an_engine_that_tensorrt_no_longer_loads_is_built_again(tmp_path: Path) -> None:
    write_tiny_release(tmp_path / "release")
    engine = made(tmp_path)
    cache = EngineCache(tmp_path / "engines")
    # Whole by its digest, and still nothing that this TensorRT takes.
    other = cache.engine_file(engine.key)
    other.write_bytes(other.read_bytes().replace(b"10.3.0", b"10.2.0"))
    from eyebright_common.digests import sha256_of

    cache.note(engine.model_copy(update={"sha256": sha256_of(other)}))
    with open_tensorrt(tmp_path / "release", board(tmp_path), build=True) as runtime:
        assert "could not be loaded" in runtime.notices[0]


def cached(model: str, *, minutes: int) -> CachedEngine:
    key = EngineKey(model_sha256=model * 64, fingerprint=NANO, precision="fp16", input_shape=(1, 3, 8, 8), adapter=1)
    from hashlib import sha256

    return CachedEngine(
        key=key,
        sha256=sha256(model.encode()).hexdigest(),
        size_bytes=1,
        outline="same",
        made="built",
        seconds=1.0,
        at=NOON + timedelta(minutes=minutes),
        proof=EngineProof(cases=1, max_abs_logit_difference=0.0, tolerance=0.1, decision_flips=0),
    )


def test_the_engines_of_the_two_newest_networks_are_kept(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path / "engines")
    with cache.making():
        for minutes, model in enumerate("abc"):
            engine = cached(model, minutes=minutes)
            cache.draft_file(engine.key).write_bytes(model.encode())
            cache.put(engine, cache.draft_file(engine.key))
    assert [cache.find(cached(model, minutes=0).key)[0] is not None for model in "abc"] == [False, True, True]
    assert len(list((tmp_path / "engines").glob("*.engine"))) == 2
    # The newest relative of another network of the same outline is what a refit begins with.
    wanted = cached("d", minutes=9).key
    relative = cache.relative(wanted, "same")
    assert relative is not None
    assert relative.key.model_sha256 == "c" * 64
    assert cache.relative(wanted, "another") is None


@pytest.mark.slow
def test_a_damaged_timing_cache_costs_time_and_nothing_else(tmp_path: Path) -> None:
    write_tiny_release(tmp_path / "1")
    write_tiny_release(tmp_path / "2", version="2", bias=REFER_BIAS)
    made(tmp_path, "1")
    timing = next((tmp_path / "engines").glob("timing-*.cache"))
    good = timing.read_bytes()
    timing.write_bytes(b"rubbish")
    assert made(tmp_path, "2").made == "built"
    assert timing.read_bytes() == good


def shared(tmp_path: Path, **twin: Any) -> CachedEngine:
    """Build on one board, upload, adopt on another, and return what the other has."""
    write_tiny_release(tmp_path / "release")
    builder = tmp_path / "builder"
    with open_tensorrt(tmp_path / "release", board(builder), build=True) as runtime:
        sent = describe_engine(runtime, tmp_path / "release", builder="builder-1").to_json()
        engine = EngineCache(builder / "engines").engine_file(runtime.engine.key)
    settings = board(tmp_path / "twin", **twin)
    upload = parse_engine_upload(sent)
    return adopt_engine(upload, engine, tmp_path / "release", settings, probe_tensorrt(settings))


@pytest.fixture
def named_board(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that knows which board it is."""
    from eyebright_edge.runtime import machine

    monkeypatch.setattr(machine, "_first_line", lambda path: "A Board" if path.name == "model" else "")


@pytest.mark.usefixtures("named_board")
def test_a_twin_uses_a_builders_engine_after_it_has_proven_it(tmp_path: Path) -> None:
    adopted = shared(tmp_path)
    assert adopted.proof is None
    with pytest.raises(WorkerFailed, match="no proven engine"):
        open_tensorrt(tmp_path / "release", board(tmp_path / "twin"), build=False)
    with open_tensorrt(tmp_path / "release", board(tmp_path / "twin", fault="build-failed"), build=True) as runtime:
        assert runtime.engine.made == "adopted"
        assert runtime.engine.proof is not None


@pytest.mark.slow
@pytest.mark.usefixtures("named_board")
def test_a_twin_that_cannot_prove_it_deletes_it(tmp_path: Path) -> None:
    adopted = shared(tmp_path)
    with pytest.raises(Exception, match="golden cases"):
        open_tensorrt(tmp_path / "release", board(tmp_path / "twin", fault="drift"), build=True)
    assert EngineCache(tmp_path / "twin" / "engines").find(adopted.key) == (None, "")


@pytest.mark.slow
@pytest.mark.usefixtures("named_board")
@pytest.mark.parametrize("how", [{"gpu": "Other GPU"}, {"version": "10.16"}], ids=["GPU", "TensorRT"])
def test_another_machine_does_not_take_it(tmp_path: Path, how: dict[str, Any]) -> None:
    with pytest.raises(ReleaseError, match="for another machine"):
        shared(tmp_path, **how)
    assert not list((tmp_path / "twin").glob("engines/*.engine"))


@pytest.mark.usefixtures("named_board")
def test_nor_does_a_machine_with_other_settings(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="other settings"):
        shared(tmp_path, refit=True)


@pytest.mark.slow
@pytest.mark.usefixtures("named_board")
def test_an_engine_changed_on_its_way_is_refused(tmp_path: Path) -> None:
    write_tiny_release(tmp_path / "release")
    with open_tensorrt(tmp_path / "release", board(tmp_path), build=True) as runtime:
        upload = describe_engine(runtime, tmp_path / "release", builder="builder-1")
        changed = tmp_path / "changed"
        content = EngineCache(tmp_path / "engines").engine_file(runtime.engine.key).read_bytes()
    changed.write_bytes(content[:-1] + b"!")
    settings = board(tmp_path / "twin")
    with pytest.raises(TargetRejected, match="SHA-256"):
        adopt_engine(upload, changed, tmp_path / "release", settings, probe_tensorrt(settings))


def test_nothing_of_this_machine_but_its_fingerprint_is_in_an_upload(tmp_path: Path) -> None:
    write_tiny_release(tmp_path / "release")
    with open_tensorrt(tmp_path / "release", board(tmp_path), build=True) as runtime:
        sent = json.loads(describe_engine(runtime, tmp_path / "release", builder="builder-1").to_json())
    assert str(tmp_path) not in json.dumps(sent)
    assert set(sent) == {
        *("schema", "builder", "task", "version", "key", "sha256", "size_bytes", "build_seconds", "proof"),
        "golden_logits",
    }
