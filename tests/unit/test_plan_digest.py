"""A plan has one spelling and one digest, and says what is wrong with it."""

import hashlib
import json

import pytest

from eyebright_common.errors import InputError
from eyebright_common.plan import Plan, PlanRecipe

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
        ({"recipe": {"kd": 1.0}}, "teacher_sha256 is missing for recipe.kd and recipe.dist"),
        ({"recipe": {"kd": 0, "dist": 0, "gl": 0.05}}, "teacher_sha256 is missing for recipe.gl"),
        ({"recipe": {"ce": -1.0, "kd": 0, "dist": 0}}, "recipe.ce"),
        ({"recipe": {"ce": 0, "kd": 0, "dist": 0}}, "nothing teaches the head"),
        ({"recipe": {"kd": 0, "dist": 0, "dkd": 101}}, "recipe.dkd"),
        ({"recipe": {"kd": 0, "dist": 0, "multi_view": 1.5}}, "recipe.multi_view"),
        ({"recipe": {"kd": 0, "dist": 0, "focal": -1}}, "recipe.focal"),
        ({"recipe": {"kd": 0, "dist": 0, "adversarial": 0.05}}, "adversarial judges what gl projects"),
        ({"recipe": {"kd": 0, "dist": 0, "focal": 2, "label_smoothing": 0.1}}, "focal needs"),
        ({"recipe": {"ce": 0, "label_smoothing": 0.1}}, "label_smoothing needs a weight in ce"),
        ({"recipe": {"dkd": 1, "dkd_alpha": 0, "dkd_beta": 0}}, "dkd needs dkd_alpha or dkd_beta"),
        ({"aggregation": "mean"}, "aggregation"),
        ({"aggregation": "fedprox"}, "proximal_mu"),
        ({"student": "../../etc/passwd; rm"}, "student"),
        ({"upload_images": True}, "upload_images"),
    ],
)
def test_a_plan_that_cannot_be_used_names_the_field(changes: dict[str, object], named: str) -> None:
    with pytest.raises(InputError, match=named):
        plan(**changes)


def test_a_plan_from_before_the_feature_losses_still_reads() -> None:
    old = {**FIELDS, "recipe": {"ce": 0.3, "kd": 0.7, "temperature": 4.0, "dist": 1.0, "label_smoothing": 0.0}}
    read = Plan.from_json(json.dumps(old | {"teacher_sha256": "0" * 64, "teacher_arch": "vit_base_patch16_224"}))
    assert read.recipe == PlanRecipe()
    assert not read.recipe.needs_features


@pytest.mark.parametrize("term", ["kd", "dist", "dkd", "pca", "gl"])
def test_every_term_on_the_teacher_makes_the_plan_need_one(term: str) -> None:
    labels_alone = PlanRecipe(ce=1.0, kd=0.0, dist=0.0)
    assert not labels_alone.needs_teacher
    with_term = PlanRecipe(**{**labels_alone.model_dump(), term: 0.05})
    assert with_term.needs_teacher
    assert with_term.needs_features == (term in ("pca", "gl"))


def test_text_that_is_not_json_is_refused() -> None:
    with pytest.raises(InputError, match="the plan cannot be used"):
        Plan.from_json("{rounds: 3")
