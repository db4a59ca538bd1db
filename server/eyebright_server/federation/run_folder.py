"""One named run on the server: what it was started with, so that it can be resumed with nothing but its name.

::

    OPERATOR/rounds/NAME/plan.json              the plan, canonical
    OPERATOR/rounds/NAME/run.json               where the hospitals are, and the server's rules; written last
    OPERATOR/rounds/NAME/initial.safetensors    what the run begins with
    OPERATOR/rounds/NAME/rounds/                checkpoint and accepted replies
    OPERATOR/rounds/NAME/student.safetensors    the best student, when the run has ended
    OPERATOR/keys/online/plans.pem              the key that signs plans
"""

from __future__ import annotations

import fcntl
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file

from eyebright_common.documents import Document, problems_of
from eyebright_common.durable import write_bytes
from eyebright_common.errors import FederationError, InputError
from eyebright_common.plan import Plan
from eyebright_common.signed_plan import PlanSigner
from eyebright_server.federation.checkpoint import to_bytes
from eyebright_server.federation.records import Arrays
from eyebright_server.federation.rules import RoundRules

STUDENT = "student.safetensors"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class RunSettings(Document):
    """``run.json``.

    Attributes:
        sites: Folders of the hospitals, in the order of their numbers; empty for a run over the SuperLink.
        participants: Numbers of the hospitals of a run over the SuperLink; empty for one over folders.
        hospitals: How many hospitals there are.
        deadline_s: Seconds after which a question is closed; None waits.
        rules: As in ``RoundRules``.
    """

    format: int = 1
    sites: tuple[str, ...] = ()
    participants: tuple[int, ...] = ()
    hospitals: int = Field(ge=1)
    deadline_s: float | None = Field(default=None, gt=0)
    rules: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """A run that was started.

    Attributes:
        folder: Its folder.
        plan: What is asked of hospitals.
        settings: Where they are, and the rules.
    """

    folder: Path
    plan: Plan
    settings: RunSettings

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        plan: Plan,
        initial: Arrays,
        sites: tuple[Path, ...] = (),
        participants: tuple[int, ...] = (),
        deadline_s: float | None,
        rules: RoundRules,
    ) -> RunFolder:
        """Write down a new run, over the folders ``sites`` or with ``participants`` of the SuperLink.

        Raises:
            InputError: there is one of this name, a site is missing or named twice, or the deadline is none.
        """
        if deadline_s is not None and not 0 < deadline_s < math.inf:
            fix = "Give seconds above 0, or leave it out to wait."
            raise InputError("this is no deadline", value=f"{deadline_s} s", fix=fix)
        check_sites(sites)
        named = [site.resolve() for site in sites]
        if twice := sorted({str(site) for site in named if named.count(site) > 1}):
            raise InputError("a site is named twice", value=twice[0], fix="Name each folder once.")
        if (folder / "run.json").exists():
            fix = "Name another, or go on with: eyebright server rounds resume"
            raise InputError("there is a run of this name", value=folder.name, fix=fix)
        settings = RunSettings(
            sites=tuple(map(str, named)),
            participants=participants,
            hospitals=len(sites) or len(participants),
            deadline_s=deadline_s,
            rules=asdict(rules),
        )
        write_bytes(folder / "plan.json", plan.canonical_json().encode())
        write_bytes(folder / "initial.safetensors", to_bytes(initial))
        write_bytes(folder / "run.json", settings.to_json())
        return cls(folder=folder, plan=plan, settings=settings)

    @classmethod
    def open(cls, folder: Path) -> RunFolder:
        """Return the run in ``folder``.

        Raises:
            InputError: there is none, or it cannot be read.
        """
        try:
            settings = RunSettings.model_validate_json((folder / "run.json").read_bytes())
            plan = Plan.from_json((folder / "plan.json").read_bytes())
        except FileNotFoundError:
            raise InputError(
                "there is no run of this name", value=folder.name, fix="`rounds status` lists them."
            ) from None
        except ValidationError as error:
            raise InputError(problems_of(error, whole="run.json")[0], value=folder, fix="Restore it.") from None
        return cls(folder=folder, plan=plan, settings=settings)

    @property
    def rules(self) -> RoundRules:
        """The server's rules."""
        return RoundRules(**self.settings.rules)

    @property
    def checkpoint(self) -> Path:
        """Where its rounds are kept."""
        return self.folder / "rounds"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the right to run its rounds; the kernel gives it back when the process dies.

        Raises:
            FederationError: another process runs them.
        """
        with (self.folder / "lock").open("wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                fix = "Wait for it, or stop it."
                raise FederationError("another process runs this run", value=self.folder.name, fix=fix) from None
            yield

    def initial(self) -> Arrays:
        """Return what the run begins with.

        Raises:
            InputError: the file cannot be read.
        """
        try:
            return dict(load_file(self.folder / "initial.safetensors"))
        except (OSError, SafetensorError) as error:
            raise InputError(
                f"the first student cannot be read ({error})", value=self.folder, fix="Restore it."
            ) from None


def check_sites(sites: Sequence[Path]) -> None:
    """Pass when every site directory is there.

    Raises:
        InputError: one is not.
    """
    missing = [site for site in sites if not site.is_dir()]
    if missing:
        raise InputError("a site directory does not exist", value=missing[0], fix="Prepare every site first.")


def runs_folder(operator: Path) -> Path:
    """Where an operator's runs are."""
    return operator / "rounds"


def run_named(operator: Path, name: str) -> Path:
    """Return the folder of the operator's run ``name``.

    Raises:
        InputError: it cannot be the name of a run; a path is none, it would lie elsewhere.
    """
    if not _NAME.fullmatch(name):
        fix = "Use 1 to 64 letters, digits, dots, dashes or underscores, beginning with a letter or digit."
        raise InputError("this cannot be the name of a run", value=repr(name[:80]), fix=fix)
    return runs_folder(operator) / name


def plan_signer(operator: Path) -> PlanSigner:
    """Return the operator's key for plans, made when there is none."""
    return PlanSigner.open_or_make(operator / "keys" / "online" / "plans.pem")
