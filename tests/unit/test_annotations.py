"""Fields are checked as pydantic's own annotations would check them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import pytest
from pydantic import BaseModel, ValidationError

from featurebase_provider.annotations import Checked, LateModel

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


class Part(BaseModel):
    """Stands for a section of a file."""

    size: int = 1


def switched(value: Any) -> Any:
    return None if value is False else value


def short(value: Any) -> Any:
    if len(value) > 3:
        raise ValueError("must be short")
    return value.upper()


class Whole(BaseModel):
    after: Annotated[str, Checked(short)] = ""
    before: Annotated[int, Checked(len, when="before")] = 0
    instead: Annotated[int, Checked(short, {"type": "string", "maxLength": 3}, when="instead")] = 0
    part: Annotated[Any, LateModel(__name__, "Part", switched)] = None
    parts: tuple[Annotated[Any, LateModel(__name__, "Part")], ...] = ()


def errors_of(**fields: Any) -> list[ErrorDetails]:
    with pytest.raises(ValidationError) as caught:
        Whole.model_validate(fields)
    return caught.value.errors()


def test_a_check_runs_after_before_or_instead_of_the_types_own() -> None:
    whole = Whole.model_validate({"after": "abc", "before": "four", "instead": "xyz"})
    assert (whole.after, whole.before, whole.instead) == ("ABC", 4, "XYZ")


@pytest.mark.parametrize(("field", "value", "kind"), [("after", 5, "string_type"), ("instead", "long", "value_error")])
def test_what_does_not_pass_is_an_error_of_the_field(field: str, value: Any, kind: str) -> None:
    (error,) = errors_of(**{field: value})
    assert (error["loc"], error["type"]) == ((field,), kind)


def test_a_late_model_is_made_from_fields_and_taken_as_it_is() -> None:
    made = Part(size=2)
    whole = Whole.model_validate({"part": made, "parts": [{"size": 3}, {}]})
    assert whole.part is made
    assert whole.parts == (Part(size=3), Part())
    assert Whole.model_validate({"part": False}).part is None


@pytest.mark.parametrize(
    ("fields", "loc"),
    [({"part": {"size": "x"}}, ("part", "size")), ({"parts": [{}, {"size": "x"}]}, ("parts", 1, "size"))],
)
def test_the_errors_of_a_late_model_have_their_places(fields: dict[str, Any], loc: tuple[str | int, ...]) -> None:
    (error,) = errors_of(**fields)
    assert (error["loc"], error["type"]) == (loc, "int_parsing")


def test_editors_see_the_same() -> None:
    schema = Whole.model_json_schema()
    fields = schema["properties"]
    assert fields["instead"] == {"type": "string", "maxLength": 3, "default": 0, "title": "Instead"}
    assert fields["after"]["type"] == "string"
    assert fields["part"]["anyOf"] == [{"$ref": "#/$defs/Part"}, {"type": "null"}]
    assert schema["$defs"]["Part"]["properties"]["size"]["type"] == "integer"
    items = fields["parts"]["items"]
    assert (schema["$defs"]["Part"] if "$ref" in items else items) == schema["$defs"]["Part"]
