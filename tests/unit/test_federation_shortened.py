"""A shortened update says nearly the same at once, and the same in the end."""

import numpy as np
import pytest

from eyebright_common.errors import InputError
from eyebright_common.plan import Compression
from eyebright_common.shortened import SCALE, Arrays, lengthened, shortened

SENT: Arrays = {
    "conv.weight": np.linspace(-1, 1, 60, dtype=np.float32).reshape(3, 20),
    "bn.running_var": np.array([1.0, 1e-8], dtype=np.float32),
}


def trained(step: float = 0.01) -> Arrays:
    generator = np.random.default_rng(5)
    return {name: (a + step * generator.random(a.shape, dtype=np.float32)) for name, a in SENT.items()}


def test_an_update_that_is_not_shortened_is_itself() -> None:
    travelling, error = shortened(trained(), SENT, {}, "none")
    assert error == {}
    assert all((lengthened(travelling, SENT, "none")[name] == trained()[name]).all() for name in SENT)


@pytest.mark.parametrize(("how", "most"), [("fp16", 0.01 * 2**-11), ("int8", 0.01 / 127 / 2 * 1.01)])
def test_rounding_is_at_most_half_a_level(how: Compression, most: float) -> None:
    travelling, error = shortened(trained(), SENT, {}, how)
    whole = lengthened(travelling, SENT, how)
    wrong = np.abs(whole["conv.weight"] - trained()["conv.weight"]).max()
    assert 0 < wrong <= most + 1e-7
    np.testing.assert_allclose(whole["conv.weight"] + error["conv.weight"], trained()["conv.weight"], atol=1e-7)


@pytest.mark.parametrize("how", ["fp16", "int8"])
def test_what_belongs_to_batch_normalisation_travels_whole(how: Compression) -> None:
    travelling, _ = shortened(trained(), SENT, {}, how)
    assert (lengthened(travelling, SENT, how)["bn.running_var"] == trained()["bn.running_var"]).all()


@pytest.mark.parametrize(("how", "part"), [("fp16", 0.5), ("int8", 0.25)])
def test_the_bytes_are_a_half_and_a_quarter(how: Compression, part: float) -> None:
    large = {"w": np.zeros((100, 100), dtype=np.float32)}
    travelling, _ = shortened({"w": large["w"] + 1}, large, {}, how)
    assert sum(a.nbytes for a in travelling.values()) <= part * large["w"].nbytes + 4


@pytest.mark.parametrize("how", ["fp16", "int8"])
def test_over_many_rounds_the_feedback_loses_nothing(how: Compression) -> None:
    """The same small step each round: without feedback the eight bits would drop the small entries for ever."""
    step = np.array([[1.0, 1e-4]], dtype=np.float32)
    arrived, error = np.zeros((1, 2), dtype=np.float32), Arrays()
    for _ in range(200):
        now = {"w": arrived}
        travelling, error = shortened({"w": arrived + step}, now, error, how)
        arrived = lengthened(travelling, now, how)["w"]
    np.testing.assert_allclose(arrived, 200 * step, rtol=0.5, atol=0.01)
    assert arrived[0, 1] > 0, "the small entry arrived at last"


@pytest.mark.parametrize("how", ["fp16", "int8"])
def test_no_update_is_no_update(how: Compression) -> None:
    travelling, error = shortened(dict(SENT), SENT, {}, how)
    assert (lengthened(travelling, SENT, how)["conv.weight"] == SENT["conv.weight"]).all()
    assert not error["conv.weight"].any()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"conv.weight": np.zeros((3, 20), dtype=np.float32)}, "wrong_dtype"),
        ({"conv.weight": np.zeros((20, 3), dtype=np.int8)}, "wrong_shape"),
        ({"conv.weight" + SCALE: np.zeros(2, dtype=np.float32)}, "wrong_shape"),
        ({"stranger": np.zeros(2, dtype=np.float32)}, "wrong_keys"),
        ({"stranger" + SCALE: np.zeros(1, dtype=np.float32)}, "wrong_keys"),
    ],
)
def test_an_array_that_was_not_asked_for_is_named(change: Arrays, reason: str) -> None:
    travelling, _ = shortened(trained(), SENT, {}, "int8")
    with pytest.raises(InputError, match=reason):
        lengthened({**travelling, **change}, SENT, "int8")


def test_a_missing_scale_is_named() -> None:
    travelling, _ = shortened(trained(), SENT, {}, "int8")
    del travelling["conv.weight" + SCALE]
    with pytest.raises(InputError, match=r"wrong_keys: conv\.weight#scale is missing"):
        lengthened(travelling, SENT, "int8")
