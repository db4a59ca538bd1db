"""A plan is signed by the operator's key, or it is not."""

from pathlib import Path

import pytest

from eyebright_common.errors import InputError, TrustError
from eyebright_common.signed_plan import PlanSigner, verify_plan
from tiny_federation import tiny_plan


def test_a_signed_plan_is_known_by_the_public_key(tmp_path: Path) -> None:
    signer = PlanSigner.open_or_make(tmp_path / "plan.pem")
    verify_plan(tiny_plan(), signer.sign(tiny_plan()), ["0" * 64, signer.public])


def test_the_key_is_kept_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    first = PlanSigner.open_or_make(tmp_path / "plan.pem")
    assert PlanSigner.open_or_make(tmp_path / "plan.pem").public == first.public
    assert (tmp_path / "plan.pem").stat().st_mode & 0o777 == 0o600


def test_a_changed_plan_is_refused(tmp_path: Path) -> None:
    signer = PlanSigner.open_or_make(tmp_path / "plan.pem")
    signature = signer.sign(tiny_plan())
    with pytest.raises(TrustError, match="not signed by an operator"):
        verify_plan(tiny_plan(learning_rate=0.5), signature, [signer.public])


@pytest.mark.parametrize("signature", ["", "zz", "00" * 64])
def test_no_signature_and_nonsense_are_refused(tmp_path: Path, signature: str) -> None:
    signer = PlanSigner.open_or_make(tmp_path / "plan.pem")
    with pytest.raises(TrustError):
        verify_plan(tiny_plan(), signature, [signer.public, "not hex"])


def test_another_operator_is_refused(tmp_path: Path) -> None:
    ours, theirs = (PlanSigner.open_or_make(tmp_path / name) for name in ("a.pem", "b.pem"))
    with pytest.raises(TrustError):
        verify_plan(tiny_plan(), theirs.sign(tiny_plan()), [ours.public])


def test_a_file_that_is_no_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "plan.pem").write_text("not a key")
    with pytest.raises(InputError, match=r"key for plans cannot be read.*plan\.pem"):
        PlanSigner.open_or_make(tmp_path / "plan.pem")
