"""``eyebright teacher-cache``: build a cache of teacher targets, say what a file holds, verify it by its teacher."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from eyebright_common.errors import InputError
from eyebright_learning.data import PreparedImages
from eyebright_learning.models import read_teacher
from eyebright_learning.teacher_cache.cache import TeacherCache
from eyebright_learning.teacher_cache.layout import MAGIC, CacheHeader, map_cache, read_header
from eyebright_learning.teacher_cache.staleness import check_key
from eyebright_learning.teacher_cache.verification import FEATURE_TOLERANCE, LOGIT_TOLERANCE, CacheCheck
from eyebright_learning.views import AUGMENTATION_ID, FAMILIES

app = typer.Typer(add_completion=False, no_args_is_help=True)

_TeacherFile = Annotated[Path, typer.Option(help="The teacher's safetensors file.")]
_ImagesFile = Annotated[Path, typer.Option(help="Prepared pictures (NPZ).")]
_CacheFile = Annotated[Path, typer.Argument(help="The cache file.")]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
_Batch = Annotated[int, typer.Option(min=1, help="Pictures per teacher call.")]


@app.command()
def build(
    teacher: _TeacherFile,
    images: _ImagesFile,
    out: Annotated[Path, typer.Option(help="The cache file to make or finish.")],
    views: Annotated[int, typer.Option(min=1, help="Views per picture.")],
    feature_views: Annotated[int, typer.Option(min=0, max=4, help="First views that carry features as well.")] = 0,
    modality: Annotated[str, typer.Option(help="CFP or OCT.")] = "CFP",
    view_family: Annotated[
        str, typer.Option(help=f"How strong the views are: {', '.join(FAMILIES)}.")
    ] = AUGMENTATION_ID,
    batch_size: _Batch = 64,
    as_json: _Json = False,
) -> None:
    """Run the teacher over every view of every picture and keep what it says; a killed build is continued."""
    network, pictures = read_teacher(teacher), PreparedImages.load(images)
    notes = Console(stderr=True, soft_wrap=True)
    if out.exists():
        _check_replaceable(out)
        stale = check_key(
            out,
            teacher_sha256=network.digest(),
            images=pictures,
            views=views,
            feature_views=feature_views,
            modality=modality,
            family=view_family,
        )
        for reason in stale:
            notes.print(f"Not what is asked for, building again: {escape(reason)}")
    with _progress(notes) as on_progress:
        cache = TeacherCache.open_or_build(
            out,
            teacher=network,
            images=pictures,
            views=views,
            feature_views=feature_views,
            modality=modality,
            family=view_family,
            batch_size=batch_size,
            on_progress=on_progress,
            on_plan=lambda size: notes.print(f"The cache will be {decimal(size)} ({size:,} bytes)."),
        )
    _print_facts(_facts(out, cache.header), as_json=as_json)


@app.command()
def info(file: _CacheFile, as_json: _Json = False) -> None:
    """Say what a cache file holds and what it was made from."""
    _print_facts(_facts(file, _header(file)), as_json=as_json)


@app.command()
def verify(
    file: _CacheFile,
    teacher: _TeacherFile,
    images: _ImagesFile,
    fraction: Annotated[float, typer.Option(min=0.0, max=1.0, help="Part of the records to compute again.")] = 0.01,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice of records.")] = 0,
    batch_size: _Batch = 64,
    as_json: _Json = False,
) -> None:
    """Compute a sample again and report the worst difference; exit code 1 when it is beyond the tolerance."""
    header, network, pictures = _header(file), read_teacher(teacher), PreparedImages.load(images)
    reasons = check_key(
        file,
        teacher_sha256=network.digest(),
        images=pictures,
        views=header.views,
        feature_views=header.feature_views,
        modality=header.key.modality,
        family=header.key.augmentation,
        classes=network.identity.classes,
    )
    mapped = map_cache(file)
    if reasons or mapped is None:
        raise InputError("the cache is of something else", value="; ".join(reasons), fix="Build it again.")
    check = TeacherCache(*mapped).verify(network, pictures, fraction=fraction, seed=seed, batch_size=batch_size)
    _print_check(check, as_json=as_json)
    if not check.passed:
        raise typer.Exit(1)


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[int, int], None]]:
    # On standard error, so that `--json > file` holds JSON alone.
    columns = (TextColumn("asking the teacher"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("asking the teacher", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _header(path: Path) -> CacheHeader:
    try:
        with path.open("rb") as file:
            header = read_header(file)
    except OSError as error:
        raise InputError("the teacher cache cannot be read", value=path, fix="Check the path.") from error
    if header is None:
        raise InputError("not a teacher cache of this version", value=path, fix="Build it again.")
    return header


def _check_replaceable(path: Path) -> None:
    """Raise unless the file is a teacher cache of some version: what is derived may be replaced, nothing else."""
    name = MAGIC[:-1]
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(name)) == name:
                return
    raise InputError("this is not a teacher cache", value=path, fix="Choose another --out.")


def _facts(path: Path, header: CacheHeader) -> dict[str, Any]:
    size = path.stat().st_size
    return {
        "path": str(path),
        "size_bytes": size,
        "complete": size == header.file_bytes,
        **header.model_dump(mode="json"),
    }


def _print_facts(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(facts, indent=1, allow_nan=False))
        return
    key, features = facts["key"], facts["features"]
    typer.echo(f"{facts['path']}: {decimal(facts['size_bytes'])}{'' if facts['complete'] else ', not complete'}")
    typer.echo(f"{facts['images']:,} pictures of {key['image_size']} px x {facts['views']} views")
    typer.echo(f"{facts['classes']} classes, temperature {facts['temperature']:.3f}, views for {key['modality']}")
    if features is None:
        typer.echo("no features")
    else:
        kept = ", ".join(f"{name.replace('_', ' and ')} {part:.3f}" for name, part in features["retained"].items())
        typer.echo(
            f"features in {features['views']} views: {features['tokens']} tokens, "
            f"{features['width']} of {features['teacher_width']} directions; energy retained: {kept}"
        )
    typer.echo(f"teacher {key['teacher_sha256']}")
    typer.echo(f"pictures {key['images_sha256']}")
    libraries = ", ".join(f"{name} {version}" for name, version in key["libraries"].items())
    typer.echo(f"made with {key['augmentation']}, {libraries}")


def _print_check(check: CacheCheck, *, as_json: bool) -> None:
    if as_json:
        limits = {"logit_tolerance": LOGIT_TOLERANCE, "feature_tolerance": FEATURE_TOLERANCE, "passed": check.passed}
        # A damaged record may differ by infinity, which JSON cannot say.
        found = {name: None if value == float("inf") else value for name, value in asdict(check).items()}
        typer.echo(json.dumps({**found, **limits}, indent=1, allow_nan=False))
        return
    typer.echo(f"{check.records:,} records computed again, {check.feature_records:,} of them with features")
    typer.echo(f"worst logit difference {check.max_abs_error:.2g} (tolerance {LOGIT_TOLERANCE})")
    if check.feature_records:
        typer.echo(f"worst feature difference {check.max_feature_error:.2g} (tolerance {FEATURE_TOLERANCE}, relative)")
    typer.echo(f"other top class {check.argmax_mismatches:,}, other view seed {check.seed_mismatches:,}")
    typer.echo("passed" if check.passed else "FAILED: build the cache again")
