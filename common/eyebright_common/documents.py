"""What every file and message that comes from outside is parsed into.

* A document is immutable, and a field nobody knows is an error: an old reader must not pass over what a newer writer
  meant. NaN and infinity are refused; they are not JSON.
* A field called ``schema`` is ``schema_`` in Python (pydantic keeps the plain name) and ``schema`` in the file.
* A strict document converts nothing either: ``"3"`` is not 3. For what decides about a release or a result.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError


class Document(BaseModel):
    """Parsed bytes from outside; immutable, without unknown fields."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )

    def to_json(self) -> bytes:
        """Return the bytes of its file: UTF-8, keys in declaration order, ends with a newline."""
        return (self.model_dump_json(indent=2) + "\n").encode()


class StrictDocument(Document):
    """A document in which every value has exactly the kind that is asked for."""

    model_config = ConfigDict(strict=True)


def problems_of(error: ValidationError, *, whole: str) -> list[str]:
    """Return what is wrong with a document, ``field: message`` each; ``whole`` names what is wrong beyond one field."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [f"{'.'.join(map(str, one['loc'])) or whole}: {one['msg'].removeprefix('Value error, ')}" for one in found]
