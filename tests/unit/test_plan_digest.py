"""A plan has one spelling and one digest, and says what is wrong with it."""

import hashlib
import json

import pytest

from eyebright_common.errors import InputError
from eyebright_common.plan import Plan

FIELDS = {
    "task": "oct-dme",
    "classes": ["no_dme", "dme"],
    "student": "mobilenet_v2",
    "image_size": 96,
    "preprocessing": "imaging-1",
    "rounds": 3,
    "local_epochs": 2,
    "batch_size": 16,
    "learning_rate": 0.002,
    "weight_decay": 0.01,
    "views": 2,
    "recipe": {"ce": 1, "kd": 0, "dist": 0},
    "seed": 7,
}


def plan(**changes: object) -> Plan:
    return Plan.checked(**{**FIELDS, **changes})


def test_the_digest_is_that_of_sorted_json_without_whitespace() -> None:
    text = plan().canonical_json()
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    assert plan().digest() == hashlib.sha256(text.encode()).hexdigest()


def test_the_order_and_spelling_of_fields_do_not_change_the_digest() -> None:
    shuffled = dict(reversed(FIELDS.items())) | {"recipe": {"dist": 0.0, "kd": 0.0, "ce": 1.0}}
    assert Plan.from_json(json.dumps(shuffled, indent=3)).digest() == plan().digest()


def test_a_changed_learning_rate_is_another_plan() -> None:
    assert plan(learning_rate=0.001).digest() != plan().digest()


def test_a_plan_does_not_change_after_it_was_made() -> None:
    with pytest.raises(ValueError, match="frozen"):
        plan().rounds = 99  # type: ignore[misc]  # what a caller may try all the same


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"rounds": 0}, "rounds"),
        ({"image_size": 100}, "image_size: must be a multiple of 32"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"batch_size": 1}, "batch_size"),
        ({"task": "skin"}, "task: unknown task"),
        ({"classes": ["dme", "no_dme"]}, "classes must be those of task"),
        ({"teacher_sha256": "abc"}, "teacher_sha256"),
        ({"teacher_sha256": "0" * 64}, "teacher_sha256 and teacher_arch go together"),
        ({"recipe": {"kd": 1.0}}, "need teacher_sha256"),
        ({"recipe": {"ce": -1.0, "kd": 0, "dist": 0}}, "recipe.ce"),
        ({"aggregation": "mean"}, "aggregation"),
        ({"aggregation": "fedprox"}, "proximal_mu"),
        ({"student": "../../etc/passwd; rm"}, "student"),
        ({"upload_images": True}, "upload_images"),
    ],
)
def test_a_plan_that_cannot_be_used_names_the_field(changes: dict[str, object], named: str) -> None:
    with pytest.raises(InputError, match=named):
        plan(**changes)


def test_text_that_is_not_json_is_refused() -> None:
    with pytest.raises(InputError, match="the plan cannot be used"):
        Plan.from_json("{rounds: 3")
