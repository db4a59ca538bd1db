"""Files and messages from outside: what is not understood is refused, not passed over."""

from typing import Literal

import pytest
from pydantic import Field, ValidationError

from eyebright_common.documents import Document, StrictDocument, problems_of


class Note(Document):
    schema_: Literal["note/1"] = Field(default="note/1", alias="schema")
    count: int
    share: float = 0.0


class StrictNote(StrictDocument):
    count: int


def test_a_document_comes_back_from_its_own_file() -> None:
    note = Note(count=3, share=0.5)
    assert Note.model_validate_json(note.to_json()) == note
    assert b'"schema": "note/1"' in note.to_json()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"count": 1, "new": 2}', "new: Extra inputs"),
        ('{"count": 1, "share": NaN}', "share: Input should be a finite number"),
        ('{"count": 1, "schema": "note/2"}', "schema: Input should be 'note/1'"),
        ("{", "note: Invalid JSON"),
    ],
)
def test_what_is_wrong_is_named_by_its_field(text: str, problem: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Note.model_validate_json(text)
    assert problems_of(caught.value, whole="note")[0].startswith(problem)


def test_a_strict_document_takes_no_text_for_a_number() -> None:
    assert Note.model_validate_json('{"count": "1"}').count == 1
    with pytest.raises(ValidationError):
        StrictNote.model_validate_json('{"count": "1"}')
