"""The one error tree of Eyebright.

::

    EyebrightError                exit 1   something we know how to explain
    ├── InputError                exit 2   what a person gave us cannot be used
    │   ├── ManifestError                  a manifest or folder as a whole
    │   ├── ImageError                     one picture; carries the bucket it is counted in
    │   └── OutputInUse                    the output folder already holds a run
    ├── PlanRefused               exit 3   a hospital has not approved what the server asks
    ├── TrustError                exit 4   a signature, certificate, invitation or digest does not hold
    │   ├── InvitationError                used, expired or unknown invitation
    │   ├── TargetRejected                 a downloaded file is not what was signed
    │   └── MetadataExpired                what was signed is too old to be trusted as the newest
    ├── ReleaseError              exit 5   a student cannot become, or is not, a good release
    │   ├── ExportError                    the graph breaks the contract
    │   ├── ParityError                    the graph and its source disagree
    │   └── GoldenMismatch                 a release fails its golden cases on this machine
    ├── WireError                 exit 6   the other side could not be reached or answered badly
    │   ├── NotPublished                   the other side has no such file
    │   └── LimitExceeded                  the other side was asked for too much, or too often
    └── FederationError           exit 7   a round could not be completed

Rules:

* A message names what failed, the value that failed, and what to do next.
* What a user can cause is an ``EyebrightError`` with an exit code; what only a bug can cause is an assert.
* Messages may name local files. What leaves a site is decided by the wire catalogue, never by ``str(error)``.
"""

from __future__ import annotations


class EyebrightError(Exception):
    """Something went wrong that we know how to explain.

    Args:
        what: What failed, in one clause.
        value: The value that failed, shown as given; left out when there is none to show.
        fix: What the reader should do next, as an imperative sentence.
    """

    exit_code = 1

    def __init__(self, what: str, *, value: object | None = None, fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.value = value
        self.fix = fix

    def __str__(self) -> str:
        shown = "" if self.value is None else f": {self.value}"
        advice = f". {self.fix}" if self.fix else ""
        # A value may be another error's sentence; one full stop is enough.
        return f"{self.what}{shown}".rstrip(".") + advice

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions cross process borders (hospital workers, the TensorRT child): rebuild from the state, not the args.
        return _rebuild, (type(self), dict(self.__dict__))


def _rebuild(kind: type[EyebrightError], state: dict[str, object]) -> EyebrightError:
    error = kind.__new__(kind)
    Exception.__init__(error, state.get("what", ""))
    error.__dict__.update(state)
    return error


class InputError(EyebrightError):
    """What a person gave us cannot be used."""

    exit_code = 2


class ManifestError(InputError):
    """A manifest or a folder of images cannot be used as a whole."""


class ImageError(InputError):
    """One picture cannot be used.

    Args:
        reason: The bucket this picture is counted in, e.g. ``truncated``; a stable snake_case word.
        name: The file, for the local log only.
        fix: What to do about it.
    """

    def __init__(self, reason: str, *, name: str = "", fix: str = "") -> None:
        super().__init__(f"picture cannot be used ({reason})", value=name or None, fix=fix)
        self.reason = reason


class OutputInUse(InputError):
    """The output folder already holds a run."""


class PlanRefused(EyebrightError):
    """A hospital has not approved what the server asks it to do."""

    exit_code = 3


class TrustError(EyebrightError):
    """A signature, certificate, invitation or digest does not hold."""

    exit_code = 4


class InvitationError(TrustError):
    """An invitation is unknown, used or expired."""


class TargetRejected(TrustError):
    """A downloaded file is not what was signed."""


class MetadataExpired(TrustError):
    """Signed metadata is too old to be trusted as the newest there is."""


class ReleaseError(EyebrightError):
    """A student cannot become a release, or a release is not what it should be."""

    exit_code = 5


class ExportError(ReleaseError):
    """An exported graph breaks the release contract."""


class ParityError(ReleaseError):
    """An exported graph and the network it came from disagree."""


class GoldenMismatch(ReleaseError):
    """A release fails its golden cases on this machine."""


class WireError(EyebrightError):
    """The other side could not be reached, or gave an answer we cannot use."""

    exit_code = 6


class NotPublished(WireError):
    """The other side has no file of that name."""


class LimitExceeded(WireError):
    """The other side was asked for too much, or too often."""


class FederationError(EyebrightError):
    """A round could not be completed."""

    exit_code = 7
