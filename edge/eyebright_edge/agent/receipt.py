"""``receipt.json``: what this unit committed, since when, and how it was proven, signed with the unit's own key.

* It is replaced whole when a release is put on trial, committed or rolled back, and kept twice (``twice``).
* A start believes it by its signature, without a network: a release serves only if its ``release.json`` has the digest
  that was proven here. A receipt whose signature does not hold is as good as none.
* It also remembers the releases that this unit will not try again by itself: those that failed here, and those that a
  person rolled back.
* The key is the one of the unit's certificate (ECDSA P-256): the operator can verify a receipt as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import AwareDatetime, Field, ValidationError

from eyebright_common.documents import Document
from eyebright_common.errors import TrustError
from eyebright_common.release import GoldenReport, Precision
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.twice import read_either, write_twice

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_VARIANTS: tuple[Precision, ...] = ("fp16", "int8")


class Proof(Document):
    """How a release did on this machine.

    Attributes:
        runtime: What computed it.
        cases: How many golden cases were run.
        max_abs_logit_difference: Largest difference of any logit; None when an output was not finite.
        tolerance: The limit it was held to.
        decision_flips: Decisions that changed.
        passed: Whether this machine may serve the release.
        latency_p95_ms: One picture through the network, 95th percentile.
        peak_memory_mb: Largest resident memory of the process that ran them.
    """

    runtime: str
    cases: int
    max_abs_logit_difference: float | None
    tolerance: float
    decision_flips: int
    passed: bool
    latency_p95_ms: float
    peak_memory_mb: float

    @property
    def networks(self) -> frozenset[Precision]:
        """The variants that what was proven is read from; an engine stands for the network that it was built from."""
        library, _, precision = self.runtime.rpartition("-")
        return frozenset(one for one in _VARIANTS if one == precision and library.startswith("onnxruntime"))

    @classmethod
    def of(cls, report: GoldenReport, runtime: str, *, latency_p95_ms: float, peak_memory_mb: float) -> Proof:
        """Return the part of a golden report that a receipt keeps, with what the release cost here."""
        difference = report.max_abs_logit_difference
        return cls(
            runtime=runtime,
            cases=report.cases,
            max_abs_logit_difference=None if difference == float("inf") else difference,
            tolerance=report.tolerance,
            decision_flips=report.decision_flips,
            passed=report.passed,
            latency_p95_ms=latency_p95_ms,
            peak_memory_mb=peak_memory_mb,
        )


class Installed(Document):
    """A release that serves, or served: its version, the digest of its ``release.json``, since when, proven how."""

    version: str
    sha256: str
    activated_at: AwareDatetime
    proof: Proof | None


class Withheld(Document):
    """A release that this unit does not try again by itself, and why."""

    version: str
    reason: str
    at: AwareDatetime


class Receipt(Document):
    """What is committed.

    Attributes:
        active: The release that serves, once its trial is over.
        previous: The one kept to roll back to.
        trial: A proven release that may serve on trial; ``active`` is what it would be taken back to.
        shadow: A release that was run unseen and is kept for the day on which it may serve.
        withheld: Releases not tried again, oldest first.
    """

    active: Installed | None = None
    previous: Installed | None = None
    trial: Installed | None = None
    shadow: Installed | None = None
    withheld: tuple[Withheld, ...] = ()

    def installed(self, version: str | None) -> Installed | None:
        """Return what is known about a kept release."""
        known = (self.active, self.previous, self.trial, self.shadow)
        return next((one for one in known if one and one.version == version), None)

    def vouches(self, version: str, sha256: str) -> bool:
        """Whether the release of this version and digest was proven on this machine."""
        known = (self.active, self.previous, self.trial, self.shadow)
        return any(one is not None and (one.version, one.sha256) == (version, sha256) for one in known)

    def withholds(self, version: str) -> Withheld | None:
        """Return why a version is not tried again, None when it may be."""
        return next((one for one in self.withheld if one.version == version), None)

    def withholding(self, refused: Withheld) -> Receipt:
        """Return the receipt with one more withheld release; the newest reason for a version stands."""
        others = tuple(one for one in self.withheld if one.version != refused.version)
        return self.model_copy(update={"withheld": (*others, refused)})

    def trying(self, tried: Installed | None) -> Receipt:
        """Return the receipt while ``tried`` is on trial, or after its trial when None."""
        return self.model_copy(update={"trial": tried})

    def serving(self, installed: Installed | None, *, previous: Installed | None) -> Receipt:
        """Return the receipt after ``installed`` began to serve; it is no longer withheld, nor on trial."""
        others = tuple(one for one in self.withheld if not installed or one.version != installed.version)
        shadow = None if installed and self.shadow and self.shadow.version == installed.version else self.shadow
        changes = {"active": installed, "previous": previous, "trial": None, "shadow": shadow, "withheld": others}
        return self.model_copy(update=changes)

    def shadowed(self, seen: Installed) -> Receipt:
        """Return the receipt after ``seen`` was run unseen; it is no longer on trial."""
        return self.model_copy(update={"shadow": seen, "trial": None})


class _Signed(Document):
    schema_: Literal["eyebright.receipt/2"] = Field(default="eyebright.receipt/2", alias="schema")
    receipt: Receipt
    signature: str


def verified_receipt(home: UnitHome) -> Receipt | None:
    """Return the receipt if this unit's key signed it; None when it is lost, damaged or somebody else's."""
    return read_either(home.receipt_file, lambda data: _verified(home, data))


def read_receipt(home: UnitHome) -> Receipt:
    """Return the receipt; one that does not hold is empty, because screening must not depend on it."""
    return verified_receipt(home) or Receipt()


def write_receipt(home: UnitHome, receipt: Receipt) -> None:
    """Sign the receipt and replace it durably.

    Raises:
        TrustError: this unit has no key to sign with.
        OSError: the disk does not take it.
    """
    # Imported here, as below: a screening process without a home never needs a signature.
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256

    signature = _key(home).sign(receipt.to_json(), ec.ECDSA(SHA256()))
    write_twice(home.receipt_file, _Signed(receipt=receipt, signature=signature.hex()).to_json())


def _verified(home: UnitHome, data: bytes) -> Receipt | None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        signed = _Signed.model_validate_json(data)
        _key(home).public_key().verify(bytes.fromhex(signed.signature), signed.receipt.to_json(), ec.ECDSA(SHA256()))
    except (ValidationError, ValueError, InvalidSignature, TrustError):
        return None
    return signed.receipt


def _key(home: UnitHome) -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    # Read directly: the room `trust` would load TUF with it, which screening has no use for.
    file = home.identity / "key.pem"
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise TrustError("the key of this unit cannot be read", value=file, fix="Enrol the unit again.") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TrustError("the key of this unit is of another kind", value=file, fix="Enrol the unit again.")
    return key
