"""Stage 6: a screening unit enrols, pulls the release, proves it, and screens the test patients from their files.

Everything goes the unit's real way: a one-time invitation, mutual TLS on loopback, TUF, golden cases, the journal.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path

from eyebright_common.errors import EyebrightError
from eyebright_common.release import Eye, Verdict
from eyebright_common.trust import UpdateClient
from eyebright_common.wire import DistributionClient, GrpcFetcher
from eyebright_edge.agent.enrolment import enrol_unit
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.receipt import read_receipt
from eyebright_edge.agent.tuf_source import TufSource
from eyebright_edge.agent.update import UpdateAgent
from eyebright_edge.runtime import open_runtime
from eyebright_edge.screening import ScreenedPicture
from eyebright_edge.screening.session import chosen_release, hold_visit
from eyebright_server.distribution import OperatorFolder, serve_in_thread
from eyebright_simulations.network.context import Context
from eyebright_simulations.network.dataset import OPERATOR_HOLDER, TEST, Dataset, Picture
from eyebright_simulations.network.release import operator_folder
from eyebright_simulations.network.workspace import Facts

UNIT = "unit-1"


def unit_home(out: Path) -> Path:
    """Where the unit lives."""
    return out / "unit"


def screen(context: Context) -> Facts:
    """Enrol a unit, update it, screen the test patients, report the counts.

    Raises:
        EyebrightError: the unit could not get, prove or activate the release.
    """
    home = UnitHome(unit_home(context.out))
    # An invitation is spent by the first enrolment; a unit that was killed half-way is set up afresh.
    shutil.rmtree(home.root, ignore_errors=True)
    task = context.facts["cohort"]["task"]
    with OperatorFolder.open(operator_folder(context.out)) as operator, serve_in_thread(operator) as addresses:
        invitation = operator.invite(UNIT, addresses=addresses)
        identity = enrol_unit(home, invitation, task=task)
        context.update(0.1, "enrolled")
        with DistributionClient.connect(identity) as client:
            fetcher = GrpcFetcher(client, home.downloads / "parts")
            updates = UpdateClient(home.root, fetcher, identity.root_metadata)
            source = TufSource(updates, client, home=home, unit=identity.name)
            agent = UpdateAgent(home, task=task, source=source, open_runtime=open_runtime, clock=_now)
            first = agent.update()
            if first.error is not None:
                raise first.error
            pulled, requests = fetcher.bytes_received, fetcher.requests
            context.update(0.2, f"release {first.active} proven and active")
            screened = _screened(context, home)
            poll = agent.update()  # a quiet poll: nothing new, and the counts go to the operator
            if poll.error is not None:
                raise poll.error
        reports = operator.records.reports(UNIT)
    receipt = read_receipt(home)
    proof = receipt.active.proof if receipt.active else None
    if proof is None or receipt.active is None:
        raise EyebrightError("the unit serves no proven release", value=home.root, fix="Run `eyebright edge status`.")
    return {
        "backend": proof.runtime,
        "active_release": receipt.active.version,
        "golden": proof.model_dump(),
        "bytes_pulled": pulled,
        "requests": requests,
        "poll_requests": fetcher.requests - requests,
        "poll_bytes": fetcher.bytes_received - pulled,
        "reports": len(reports),
        "report_bytes": sum(len(report.model_dump_json()) for report in reports),
        **screened,
    }


def _screened(context: Context, home: UnitHome) -> Facts:
    """Screen every test picture of the hospitals, one visit per patient, and count the answers."""
    dataset = Dataset.load(context.out / "work")
    visits = _visits(dataset)
    chosen = chosen_release(home=home.root, folder=None)
    patients: Counter[Verdict] = Counter()
    pictures: list[Facts] = []
    spent_s = 0.0
    for number, taken in enumerate(visits, start=1):
        given = [(Path(picture.path), Eye(picture.eye)) for picture in taken]
        started = time.perf_counter()
        # A collection holds the eyes that were photographed; it cannot be asked for the other one.
        visit, _ = hold_visit(chosen, given, clock=_now, expected=())
        spent_s += time.perf_counter() - started
        patients[visit.verdict] += 1
        pictures += [_picture_facts(number, p, screened) for p, screened in zip(taken, visit.pictures, strict=True)]
        context.update(0.2 + 0.8 * number / len(visits), f"{number:,} of {len(visits):,} patients screened")
    return {
        "patients": len(visits),
        "screened": len(pictures),
        "images_per_second": round(len(pictures) / spent_s, 2) if spent_s else None,
        "verdicts": {
            "refer": patients[Verdict.REFER],
            "no_referral": patients[Verdict.NO_REFERRAL],
            "ungradable": patients[Verdict.UNGRADABLE],
        },
        "pictures": pictures,
    }


def _visits(dataset: Dataset) -> list[list[Picture]]:
    """Return the hospitals' test pictures, gradable or not, one list per patient."""
    by_patient: dict[tuple[int, str], list[Picture]] = defaultdict(list)
    for picture in dataset.pictures:
        if picture.split == TEST and picture.holder != OPERATOR_HOLDER:
            by_patient[picture.holder, picture.patient].append(picture)
    return [by_patient[key] for key in sorted(by_patient)]


def _picture_facts(patient: int, picture: Picture, screened: ScreenedPicture) -> Facts:
    """What the report needs of one screened picture; the patient is a running number from here on."""
    return {
        "patient": patient,
        "image": picture.image,
        "label": picture.label,
        "holder": picture.holder,
        "eye": picture.eye,
        "path": picture.path,
        "verdict": screened.verdict.value,
        "score": screened.decision.score,
        "quality": screened.quality.verdict if screened.quality else "unreadable",
        "reasons": list(screened.decision.reasons),
    }


def _now() -> datetime:
    return datetime.now(UTC)
