"""What the report shows beside ``result.json``: curves, intervals, pictures and what crossed each boundary."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version

import numpy as np
import psutil

from eyebright_common.release import Threshold
from eyebright_common.tasks import ScreeningTask, get_task
from eyebright_learning.evaluation import (
    metrics,
)
from eyebright_simulations.network.arm_evidence import arm_evidence
from eyebright_simulations.network.context import Context
from eyebright_simulations.network.dataset import TEST, Dataset
from eyebright_simulations.network.flows import boundary_flows
from eyebright_simulations.network.measure import load_predictions
from eyebright_simulations.network.result import result_of
from eyebright_simulations.network.samples import sample_verdicts
from eyebright_simulations.network.settings import budget_of
from eyebright_simulations.network.workspace import REPORT_FILE, Facts
from eyebright_simulations.report import (
    RESULT_FILE,
    Duplicates,
    OperatorShare,
    ReportEvidence,
    Reproduction,
    SiteEvidence,
    write_report,
    write_result,
)

_PACKAGES = ("eyebright", "torch", "torchvision", "timm", "flwr", "onnx", "onnxruntime", "tuf", "grpcio", "numpy")


def evidence_of(context: Context, *, command: str, peak_memory_bytes: int) -> ReportEvidence:
    """Return the evidence of a finished run."""
    facts = context.facts
    dataset = Dataset.load(context.out / "work")
    task = get_task(facts["cohort"]["task"])
    release, rounds, cohort = facts["release"], facts["rounds"], facts["cohort"]
    return ReportEvidence(
        task=task,
        synthetic=context.options.synthetic,
        data_source=_source(context),
        setup=_setup(context),
        budget=_budget(context),
        arms=arm_evidence(context, dataset, task),
        sites=_sites(context, dataset, task),
        losses=[record["losses"] for record in rounds["rounds"]],
        best_round=rounds["best_round"],
        threshold=Threshold.model_validate(release["threshold"]),
        temperature=rounds["temperature"],
        operator=OperatorShare(
            train=cohort["operator"]["train"],
            validation=cohort["operator"]["validation"],
            labels=cohort["operator"]["labels"],
        ),
        duplicates=Duplicates(
            clusters=cohort["duplicates"]["clusters"],
            images=cohort["duplicates"]["images"],
            cross_patient=cohort["duplicates"]["across_patients"],
            moved=cohort["moved_to_keep_groups_whole"],
        ),
        samples=sample_verdicts(context, task),
        flows=boundary_flows(context),
        reproduction=Reproduction(
            command=command,
            machine=_machine(),
            versions={name: version(name) for name in _PACKAGES},
            digests={
                "manifest": cohort["manifest_digest"],
                "teacher": facts["teacher"]["sha256"],
                "plan": rounds["plan_digest"],
                "released student": rounds["rounds"][rounds["best_round"] - 1]["weights_sha256"],
                "release": release["sha256"],
                "ledger head": release["ledger"]["head"],
            },
            peak_memory_bytes=peak_memory_bytes,
        ),
        notes=_notes(context),
    )


def _sites(context: Context, dataset: Dataset, task: ScreeningTask) -> list[SiteEvidence]:
    facts = context.facts
    student = load_predictions(context.out, "federated")
    holder = np.array([picture.holder for picture in dataset.test_pictures()])
    labels = dataset.part(None, TEST).labels
    threshold = facts["rounds"]["threshold"]["value"]
    records = facts["rounds"]["rounds"]
    sites = []
    for index, name in enumerate(dataset.hospitals):
        here = holder == index
        local = facts["comparison"][f"local-{index + 1}"]
        sites.append(
            SiteEvidence(
                name=name,
                ungradable=facts["cohort"]["hospitals"][index]["ungradable"],
                metrics=metrics(student[here], labels[here], task=task, threshold=threshold),
                local=local["test"],
                balanced_accuracy=_curve(records, index, "balanced_accuracy"),
                macro_auroc=_curve(records, index, "macro_auroc"),
                loss=[record["site_losses"].get(str(index), {}).get("total") for record in records],
            )
        )
    return sites


def _curve(records: list[Facts], site: int, name: str) -> list[float | None]:
    return [record["site_metrics"].get(str(site), {}).get(name) for record in records]


def report(context: Context, *, seconds: Mapping[str, float], command: str, peak_memory_bytes: int) -> Facts:
    """Write ``report.html`` and ``result.json`` of a finished run; the result last: where it is, all is.

    Args:
        context: The run.
        seconds: Wall time of each stage.
        command: The command line.
        peak_memory_bytes: Largest resident process of the run.
    """
    result = result_of(context, seconds)
    write_report(
        result, evidence_of(context, command=command, peak_memory_bytes=peak_memory_bytes), context.out / REPORT_FILE
    )
    write_result(context.out / RESULT_FILE, result)
    return {}


def _source(context: Context) -> str:
    if context.options.synthetic:
        return "a synthetic cohort, drawn from the seed; no patient was photographed"
    return "the given collection"


def _setup(context: Context) -> dict[str, str]:
    options, facts = context.options, context.facts
    return {
        "Task": get_task(facts["cohort"]["task"]).title,
        "Hospitals": str(len(facts["cohort"]["hospitals"])),
        "Partition": options.partition or "by site where the data has sites",
        "Rounds": f"{options.rounds} of {options.passes_per_round} passes each",
        "Teacher": facts["teacher"]["arch"],
        "Student": options.student,
        "Initial weights": "given" if options.init else "pre-trained by the server on its own share, labels alone",
        "Picture side": f"{options.pixels} px",
        "Backend": options.backend,
    }


def _budget(context: Context) -> str:
    options, budget = context.options, budget_of(context.options)
    return (
        f"Every student had {options.rounds} rounds of {options.passes_per_round} passes over its pictures, batches of "
        f"{budget.batch_size}, a peak rate of {budget.learning_rate:g}, the same initial weights, and its best round "
        "chosen on validation patients."
    )


def _machine() -> Mapping[str, str]:
    return {
        "processor": platform.machine(),
        "cores": str(psutil.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "python": platform.python_version(),
    }


def _notes(context: Context) -> list[str]:
    facts = context.facts
    teacher = facts["teacher"]["on_hospitals"]["test"]["balanced_accuracy"]
    control = facts["comparison"]["no_distillation"]["test"]["balanced_accuracy"]
    first = facts["teacher"]["first_student"]["test"]["balanced_accuracy"]
    notes = []
    if first is not None:
        notes.append(
            f"The server's own student, pre-trained on its share, reached {100 * first:.1f} % balanced accuracy on the "
            "test patients before round 1."
        )
    if teacher is not None and control is not None and teacher <= control:
        notes.append(
            f"The teacher ({100 * teacher:.1f} %) is not better than the undistilled student ({100 * control:.1f} %): "
            "it has nothing to teach here, and distillation can only be expected to hurt."
        )
    if facts["cohort"]["misread"]:
        notes.append(
            f"{facts['cohort']['misread']:,} of the hospitals' training and validation pictures carry the label of a "
            "reader who was wrong, as single readers sometimes are; the operator's labels and those of the test "
            "patients are the drawn truth."
        )
    if facts["cohort"]["moved_to_keep_groups_whole"]:
        notes.append(
            f"{facts['cohort']['moved_to_keep_groups_whole']:,} pictures are held by another hospital than the one "
            "that recorded them, because a near-duplicate of theirs is there."
        )
    notes.append(
        "“Same budget” means the same passes over the pictures an arm has: a single hospital takes fewer steps than "
        "pooled training does."
    )
    return notes
