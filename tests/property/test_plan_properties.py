"""Whatever a plan says, it reads back as itself."""

from hypothesis import given
from hypothesis import strategies as st

from eyebright_common.plan import Plan

POSITIVE = st.floats(min_value=1e-9, max_value=1.0, allow_nan=False)


@given(
    rounds=st.integers(1, 1000),
    rate=POSITIVE,
    decay=POSITIVE,
    seed=st.integers(0, 2**31 - 1),
    temperature=st.floats(0.1, 100),
    arch=st.one_of(st.none(), st.just("vit_tiny_patch16_224")),
)
def test_a_plan_reads_back_as_itself_with_the_same_digest(
    rounds: int, rate: float, decay: float, seed: int, temperature: float, arch: str | None
) -> None:
    weight = 0.5 if arch else 0.0
    plan = Plan.checked(
        task="oct-dme",
        classes=("no_dme", "dme"),
        student="resnet18",
        image_size=64,
        preprocessing="p",
        rounds=rounds,
        local_epochs=1,
        batch_size=8,
        learning_rate=rate,
        weight_decay=decay,
        views=1,
        recipe={"ce": 1.0, "kd": weight, "dist": weight, "temperature": temperature},
        seed=seed,
        teacher_arch=arch,
        teacher_sha256="a" * 64 if arch else None,
    )
    again = Plan.from_json(plan.canonical_json())
    assert again == plan
    assert again.digest() == plan.digest()
