"""Turns pydantic's errors into messages with the field's line and what is allowed, and without secrets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, to_jsonable_python

from featurebase_provider.annotations import LateModel
from featurebase_provider.config.errors import ADVICE, DISAGREEMENT, Fault, Key, Place, Problem, names_credential
from featurebase_provider.featurebase.text import without_tokens

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

Locate = Callable[[tuple[Key, ...]], Place]
"""Finds a field of the model in the file."""

_WORDS = {
    "missing": "is required",
    "string_type": "must be text",
    "string_unicode": "must be text without invalid characters",
    "bool_type": "must be true or false, without quotes",
    "bool_parsing": "must be true or false, without quotes",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be a mapping (key: value)",
    "model_type": "must be a mapping (key: value)",
    "model_attributes_type": "must be a mapping (key: value)",
}
_RANGE = frozenset({"greater_than_equal", "less_than_equal", "greater_than", "less_than"})
_LENGTH = frozenset({"string_too_short", "string_too_long", "too_short", "too_long"})


def details_of(error: ValidationError) -> list[ErrorDetails]:
    """Pydantic's errors, without those that only repeat that another field is wrong."""
    return [detail for detail in error.errors(include_url=False) if detail["type"] != "default_factory_not_called"]


def fault_from(detail: ErrorDetails, model: type[BaseModel], locate: Locate) -> Fault:
    """Turn one of pydantic's errors into a fault.

    :param model: the model that was validated; names the fields that are allowed.
    :param locate: finds a field of that model in the file.
    """
    loc = tuple(detail["loc"])
    if detail["type"] == DISAGREEMENT:
        context = detail["ctx"]
        return fault_from_problem(Problem(tuple(context["fields"]), context["message"], loc), model, locate)
    message = without_tokens(_message(detail, model, loc))
    place = locate(loc)
    while not place.found and loc and detail["type"] != "missing":  # pydantic adds the branch of a union
        loc = loc[:-1]
        place = locate(loc)
    return Fault(place.line, place.field, message)


def fault_from_problem(problem: Problem, model: type[BaseModel], locate: Locate) -> Fault:
    """Turn fields that contradict each other into a fault at the first of them that the file has."""
    loc, message = problem.loc or (problem.fields[0],), problem.message
    place = locate(loc)
    line = place.line
    if not place.found:
        places = [locate((*loc[:-1], name)) for name in problem.fields]
        line = next((other.line for other in places if other.found), line)
        field = _field_at(model, loc)
        if field is not None and isinstance(field.default, timedelta):
            message += f"; it is {to_jsonable_python(field.default)} by default"
    return Fault(line, place.field, without_tokens(message))


def unknown_field(name: str, allowed: list[str]) -> str:
    """The message for a field that does not exist."""
    if names_credential(name):
        return f"is not a field of this file. {ADVICE}"
    close = get_close_matches(name[:60], allowed, n=1)
    meant = f"; did you mean {close[0]}?" if close else ""
    return f"is not a known field{meant} (allowed: {', '.join(allowed)})"


def _message(detail: ErrorDetails, model: type[BaseModel], loc: tuple[Key, ...]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        owner = _model_at(model, loc[:-1])
        return unknown_field(str(loc[-1]), sorted(owner.model_fields) if owner else [])
    if kind == "value_error":
        return str(context.get("error") or "is not allowed")
    if kind in ("literal_error", "enum"):
        return f"must be one of {context['expected']}"
    field = _field_at(model, loc)
    if kind in _RANGE or kind in _LENGTH:
        words = _bounds(field, kind, context)
    elif kind == "string_pattern_mismatch":
        words = f"must match {context['pattern']}"
    elif kind in _WORDS:
        words = _WORDS[kind] + _about_value(detail)
    else:
        return detail["msg"]
    return words + _example(field)


def _about_value(detail: ErrorDetails) -> str:
    value, kind = detail.get("input"), detail["type"]
    if value is None and kind != "missing":
        return ", but it is empty"
    if kind == "string_type" and isinstance(value, (bool, int, float)):
        return "; put it in quotes"
    return ""


def _example(field: FieldInfo | None) -> str:
    if field is None or not field.examples:
        return ""
    example = field.examples[0]
    return (
        f"; for example [{', '.join(map(str, example))}]" if isinstance(example, list) else f"; for example {example}"
    )


def _bounds(field: FieldInfo | None, kind: str, context: dict[str, Any]) -> str:
    limits: dict[str, Any] = {}
    for item in field.metadata if field else ():
        for name in ("ge", "gt", "le", "lt", "min_length", "max_length"):
            if (limit := getattr(item, name, None)) is not None:
                limits[name] = limit
    limits = limits or {name: value for name, value in context.items() if name.endswith("length") or len(name) == 2}
    what = "have" if kind in _LENGTH else "be"
    unit = "" if kind in _RANGE else " characters" if kind.startswith("string") else " entries"
    words = {
        "ge": "at least",
        "min_length": "at least",
        "gt": "more than",
        "le": "at most",
        "max_length": "at most",
        "lt": "less than",
    }
    parts = [f"{words[name]} {limit}" for name, limit in limits.items() if name in words]
    return f"must {what} {' and '.join(parts)}{unit}"


def _field_at(model: type[BaseModel], loc: tuple[Key, ...]) -> FieldInfo | None:
    owner = _model_at(model, loc[:-1])
    return owner.model_fields.get(str(loc[-1])) if owner and loc else None


def _model_at(model: type[BaseModel], loc: tuple[Key, ...]) -> type[BaseModel] | None:
    """The model that a path leads to, through optional values and lists of models."""
    found: type[BaseModel] | None = model
    for key in loc:
        if isinstance(key, int):
            continue
        field = found.model_fields.get(key) if found else None
        found = _first_model((field.annotation, *field.metadata)) if field else None
    return found


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, LateModel):
        return annotation.model
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return _first_model(get_args(annotation))


def _first_model(annotations: Sequence[Any]) -> type[BaseModel] | None:
    return next((model for annotation in annotations if (model := _model_in(annotation))), None)
