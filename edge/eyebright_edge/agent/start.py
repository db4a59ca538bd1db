"""Which release answers, decided at every start from the disk alone.

* The signed receipt names the releases that were proven on this machine, by the digest of their description, which
  holds the digests of their files. What it does not name never serves, whatever ``active`` says. The network that it
  was proven with must be there; other variants may be absent, because a unit fetches only what it computes with.
* If the active release is damaged, the committed one answers, then the one before it. A release on trial answers only
  when ``active`` names it.
* If the receipt itself is lost (both copies), a release answers by its own digests, with a notice: a unit that cannot
  prove who it is must still screen. Whoever can delete the receipt can write anything else here too.
"""

from __future__ import annotations

from collections.abc import Iterable

from eyebright_common.digests import sha256_of
from eyebright_common.errors import EyebrightError, InputError, TrustError
from eyebright_common.release import RELEASE_FILE, Release, read_release
from eyebright_edge.agent.home import Serving, UnitHome
from eyebright_edge.agent.receipt import Receipt, verified_receipt


def serving_release(home: UnitHome) -> Serving:
    """Return the release that answers now.

    Raises:
        InputError: no usable release has been installed.
    """
    active, receipt = home.active_version(), verified_receipt(home)
    problem = "no release has been installed"
    # Without the file nothing was ever activated, or the first release was taken back: then none may serve.
    for version in _candidates(home, active, receipt) if home.active_file.exists() else ():
        try:
            release = proven_release(home, version, receipt)
        except EyebrightError as error:
            problem = f"release {version} is damaged: {error}"
            continue
        return Serving(folder=home.release_folder(version), release=release, notice=_notice(active, version, receipt))
    raise InputError(f"this unit has nothing to screen with, {problem}", fix="Run `eyebright edge update`.")


def proven_release(home: UnitHome, version: str, receipt: Receipt | None) -> Release:
    """Return a kept release that is whole and, as far as there is a receipt, the one that was proven.

    Raises:
        EyebrightError: it is not.
    """
    folder = home.release_folder(version)
    installed = receipt.installed(version) if receipt else None
    release = read_release(folder, networks=installed.proof.networks if installed and installed.proof else ())
    if receipt is not None and not receipt.vouches(version, sha256_of(folder / RELEASE_FILE)):
        raise TrustError("it is not the release that was proven here", value=version, fix="Fetch it again.")
    return release


def _candidates(home: UnitHome, active: str | None, receipt: Receipt | None) -> Iterable[str]:
    named = (receipt.active, receipt.previous) if receipt else ()
    committed = [one.version for one in named if one] if receipt else list(home.kept())
    return dict.fromkeys([version for version in (active, *committed) if version is not None])


def _notice(active: str | None, version: str, receipt: Receipt | None) -> str:
    if version != active:
        spoilt = f"Release {active} is damaged" if active else "The note of which release serves is damaged"
        return f"{spoilt}; release {version} answers instead."
    if receipt is None:
        return f"The receipt of this unit is damaged; release {version} answers. Run `eyebright edge update`."
    return ""
