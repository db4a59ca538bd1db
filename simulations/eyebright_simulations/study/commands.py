"""`eyebright study`: which parts of a recipe earn their place, which teacher to listen to, what is owed to the site."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from eyebright_server.student_recipes import RECIPES
from eyebright_simulations.study.arms import ARMS, CONTROL, chosen_arms, parse_weights
from eyebright_simulations.study.crossval_options import CrossvalOptions
from eyebright_simulations.study.options import Device, Precision, StudyOptions
from eyebright_simulations.study.sites_options import SitesOptions

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)
_DEFAULT = StudyOptions(kind="ablation")
_CROSSVAL = CrossvalOptions()
_SITES = SitesOptions()

DataOption = Annotated[str, typer.Option("--data", help="synthetic, a manifest (CSV or JSONL), or a folder per class.")]
TaskOption = Annotated[str, typer.Option("--task", help="fundus or oct.")]
RecipeOption = Annotated[str, typer.Option("--recipe", help=" or ".join(RECIPES) + ".")]
FoldsOption = Annotated[int, typer.Option("--folds", help="Folds the patients are divided into.")]
MaxFoldsOption = Annotated[int | None, typer.Option("--max-folds", help="Run only so many of them.")]
SeedsOption = Annotated[int, typer.Option("--seeds", help="Students per arm and fold.")]
StudentOption = Annotated[str | None, typer.Option("--student", help="Student architecture; default the recipe's.")]
InitOption = Annotated[Path | None, typer.Option("--init", help="Weights the student starts from (safetensors).")]
TeacherWeightsOption = Annotated[
    Path | None, typer.Option("--teacher-weights", help="Weights a teacher starts from (safetensors).")
]
SizeOption = Annotated[int, typer.Option("--image-size", help="Side of the model input, px; a multiple of 32.")]
EpochsOption = Annotated[int, typer.Option("--epochs", help="Passes of a student.")]
TeacherEpochsOption = Annotated[
    int | None, typer.Option("--teacher-epochs", help="Passes of a teacher; default as many as a student's.")
]
RateOption = Annotated[float | None, typer.Option("--learning-rate", help="Peak rate of a student.")]
TeacherRateOption = Annotated[float | None, typer.Option("--teacher-learning-rate", help="Peak rate of a teacher.")]
BatchOption = Annotated[int, typer.Option("--batch-size", help="Pictures per step.")]
ViewsOption = Annotated[int, typer.Option("--views", help="Most views per picture.")]
PrecisionOption = Annotated[Precision, typer.Option("--precision", help="Arithmetic of training.")]
DeviceOption = Annotated[Device, typer.Option("--device", help="Where to train.")]
ReplicatesOption = Annotated[int, typer.Option("--replicates", help="Resamples behind an interval.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Same seed, same result.", min=0, max=2**31 - 1)]
OutOption = Annotated[Path, typer.Option("--out", help="Folder for everything the study writes.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Finish or widen the study in --out.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Start anew although --out holds a study.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print result.json to standard output.")]


@app.command()
def ablation(
    data: DataOption = _DEFAULT.data,
    task: TaskOption = _DEFAULT.task,
    recipe: RecipeOption = _DEFAULT.recipe,
    folds: FoldsOption = _DEFAULT.folds,
    max_folds: MaxFoldsOption = None,
    seeds: SeedsOption = _DEFAULT.seeds,
    student: StudentOption = None,
    init: InitOption = None,
    teacher: Annotated[str | None, typer.Option(help="Teacher, e.g. a timm name; default the task's.")] = None,
    teacher_weights: TeacherWeightsOption = None,
    image_size: SizeOption = _DEFAULT.image_size,
    epochs: EpochsOption = _DEFAULT.epochs,
    teacher_epochs: TeacherEpochsOption = None,
    learning_rate: RateOption = None,
    teacher_learning_rate: TeacherRateOption = None,
    batch_size: BatchOption = _DEFAULT.batch_size,
    views: ViewsOption = _DEFAULT.views,
    feature_views: Annotated[int, typer.Option(help="Views with teacher features, 0 to 4.")] = _DEFAULT.feature_views,
    arms: Annotated[str, typer.Option(help="Arms to compare with the control.")] = ",".join(ARMS),
    weights: Annotated[str, typer.Option(help="Weights of terms, e.g. ce=1,kd=0.2,dist=0.2.")] = "",
    precision: PrecisionOption = _DEFAULT.precision,
    device: DeviceOption = _DEFAULT.device,
    replicates: ReplicatesOption = _DEFAULT.replicates,
    seed: SeedOption = _DEFAULT.seed,
    out: OutOption = Path("runs/ablation"),
    resume: ResumeOption = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train the same student with one loss after another, on the same folds, and say what helped."""
    options = StudyOptions(
        kind="ablation",
        data=data,
        task=task,
        recipe=recipe,
        folds=folds,
        max_folds=max_folds,
        seeds=seeds,
        student=student,
        init=_text(init),
        teachers=() if teacher is None else (teacher,),
        teacher_weights=_text(teacher_weights),
        image_size=image_size,
        epochs=epochs,
        teacher_epochs=teacher_epochs,
        learning_rate=learning_rate,
        teacher_learning_rate=teacher_learning_rate,
        batch_size=batch_size,
        views=views,
        feature_views=feature_views,
        arms=chosen_arms(arms),
        weights=parse_weights(weights),
        precision=precision,
        device=device,
        replicates=replicates,
        seed=seed,
    )
    _run(options, out, resume=resume, force=force, as_json=as_json)


@app.command()
def teachers(
    candidates: Annotated[str, typer.Option("--teachers", help="Teachers to compare, e.g. A,B,ensemble:A+B.")],
    data: DataOption = _DEFAULT.data,
    task: TaskOption = _DEFAULT.task,
    recipe: RecipeOption = _DEFAULT.recipe,
    folds: FoldsOption = _DEFAULT.folds,
    max_folds: MaxFoldsOption = None,
    seeds: SeedsOption = _DEFAULT.seeds,
    student: StudentOption = None,
    init: InitOption = None,
    teacher_weights: TeacherWeightsOption = None,
    image_size: SizeOption = _DEFAULT.image_size,
    epochs: EpochsOption = _DEFAULT.epochs,
    teacher_epochs: TeacherEpochsOption = None,
    learning_rate: RateOption = None,
    teacher_learning_rate: TeacherRateOption = None,
    batch_size: BatchOption = _DEFAULT.batch_size,
    views: ViewsOption = _DEFAULT.views,
    precision: PrecisionOption = _DEFAULT.precision,
    device: DeviceOption = _DEFAULT.device,
    replicates: ReplicatesOption = _DEFAULT.replicates,
    seed: SeedOption = _DEFAULT.seed,
    out: OutOption = Path("runs/teachers"),
    resume: ResumeOption = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train every teacher on the folds, and say which is strongest and whether it beats the undistilled student."""
    options = StudyOptions(
        kind="teachers",
        data=data,
        task=task,
        recipe=recipe,
        folds=folds,
        max_folds=max_folds,
        seeds=seeds,
        student=student,
        init=_text(init),
        teachers=tuple(name.strip() for name in candidates.split(",") if name.strip()),
        teacher_weights=_text(teacher_weights),
        image_size=image_size,
        epochs=epochs,
        teacher_epochs=teacher_epochs,
        learning_rate=learning_rate,
        teacher_learning_rate=teacher_learning_rate,
        batch_size=batch_size,
        views=views,
        arms=(CONTROL,),
        precision=precision,
        device=device,
        replicates=replicates,
        seed=seed,
    )
    _run(options, out, resume=resume, force=force, as_json=as_json)


@app.command()
def crossval(
    data: DataOption = _CROSSVAL.data,
    task: TaskOption = _CROSSVAL.task,
    recipe: RecipeOption = _CROSSVAL.recipe,
    folds: FoldsOption = _CROSSVAL.folds,
    max_folds: MaxFoldsOption = None,
    student: StudentOption = None,
    init: InitOption = None,
    teacher: Annotated[str, typer.Option(help="Teacher, e.g. convnextv2_large.")] = _CROSSVAL.candidates[0],
    teacher_weights: TeacherWeightsOption = None,
    image_size: SizeOption = _CROSSVAL.image_size,
    epochs: EpochsOption = _CROSSVAL.epochs,
    teacher_epochs: TeacherEpochsOption = None,
    learning_rate: RateOption = None,
    teacher_learning_rate: TeacherRateOption = None,
    batch_size: BatchOption = _CROSSVAL.batch_size,
    views: ViewsOption = _CROSSVAL.views,
    test_views: Annotated[int, typer.Option(help="Looks with test-time augmentation.")] = _CROSSVAL.test_views,
    precision: PrecisionOption = _CROSSVAL.precision,
    device: DeviceOption = _CROSSVAL.device,
    replicates: ReplicatesOption = _CROSSVAL.replicates,
    seed: SeedOption = _CROSSVAL.seed,
    out: OutOption = Path("runs/crossval"),
    resume: ResumeOption = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train teacher and distilled student on every fold, and measure both with and without test-time augmentation."""
    options = CrossvalOptions(
        data=data,
        task=task,
        recipe=recipe,
        folds=folds,
        max_folds=max_folds,
        student=student,
        init=_text(init),
        teachers=(teacher,),
        teacher_weights=_text(teacher_weights),
        image_size=image_size,
        epochs=epochs,
        teacher_epochs=teacher_epochs,
        learning_rate=learning_rate,
        teacher_learning_rate=teacher_learning_rate,
        batch_size=batch_size,
        views=views,
        test_views=test_views,
        precision=precision,
        device=device,
        replicates=replicates,
        seed=seed,
    )
    from eyebright_simulations.study.crossval import run_crossval
    from eyebright_simulations.study.crossval_table import findings

    result = run_crossval(options, out, console=Console(stderr=True), command=_command(), resume=resume, force=force)
    if as_json:
        sys.stdout.write(result.to_json().decode())
        return
    for line in (*findings(result), str(out / "table.md"), str(out / "result.json")):
        typer.echo(line)
    typer.echo("Research use. Not for diagnosis.")


@app.command()
def sites(
    data: DataOption = _SITES.data,
    task: TaskOption = _SITES.task,
    recipe: RecipeOption = _SITES.recipe,
    folds: FoldsOption = _SITES.folds,
    max_folds: MaxFoldsOption = None,
    student: StudentOption = None,
    init: InitOption = None,
    image_size: SizeOption = _SITES.image_size,
    epochs: EpochsOption = _SITES.epochs,
    learning_rate: RateOption = None,
    batch_size: BatchOption = _SITES.batch_size,
    views: ViewsOption = _SITES.views,
    precision: PrecisionOption = _SITES.precision,
    device: DeviceOption = _SITES.device,
    replicates: ReplicatesOption = _SITES.replicates,
    seed: SeedOption = _SITES.seed,
    out: OutOption = Path("runs/sites"),
    resume: ResumeOption = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a student on all sites and without each one, and say how much of its figures is owed to the site."""
    options = SitesOptions(
        data=data,
        task=task,
        recipe=recipe,
        folds=folds,
        max_folds=max_folds,
        student=student,
        init=_text(init),
        image_size=image_size,
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        views=views,
        precision=precision,
        device=device,
        replicates=replicates,
        seed=seed,
    )
    from eyebright_simulations.study.sites import run_sites
    from eyebright_simulations.study.sites_table import print_sites

    result = run_sites(options, out, console=Console(stderr=True), command=_command(), resume=resume, force=force)
    if as_json:
        sys.stdout.write(result.to_json().decode())
    else:
        print_sites(Console(), result, out)


def _command() -> str:
    return shlex.join(["eyebright", "study", *sys.argv[2:]])


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _run(options: StudyOptions, out: Path, *, resume: bool, force: bool, as_json: bool) -> None:
    # Heavy imports wait until the options are known to be readable: `--help` and typing errors answer at once.
    from eyebright_simulations.study.run import run_study
    from eyebright_simulations.study.summary import print_study

    result = run_study(
        options,
        out,
        console=Console(stderr=True),
        command=_command(),
        resume=resume,
        force=force,
    )
    if as_json:
        sys.stdout.write(result.to_json().decode())
    else:
        print_study(Console(), result, out)
