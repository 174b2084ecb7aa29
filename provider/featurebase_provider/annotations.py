"""What pydantic does with a field, said in a way that costs little: Airflow parses Dag files again and again."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from pydantic_core import core_schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue


class Checked:
    """Checks a field with a function of the value.

    pydantic's own ``AfterValidator``, ``BeforeValidator``, ``PlainValidator`` and ``WithJsonSchema`` do the same, but
    look into each function's signature when a model is built.

    :param check: returns the field's value, or raises ``ValueError``.
    :param schema: the field's JSON Schema; None for that of its type.
    :param when: ``after`` or ``before`` pydantic checks the type, or ``instead`` of that.
    """

    __slots__ = ("check", "schema", "when")

    def __init__(
        self,
        check: Callable[[Any], Any],
        schema: dict[str, Any] | None = None,
        *,
        when: Literal["after", "before", "instead"] = "after",
    ) -> None:
        self.check, self.schema, self.when = check, schema, when

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """How pydantic checks the field."""
        if self.when == "instead":
            return core_schema.no_info_plain_validator_function(self.check)
        if self.when == "before":
            return core_schema.no_info_before_validator_function(self.check, handler(source))
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, checked: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """How an editor checks the field."""
        return handler(checked) if self.schema is None else self.schema.copy()


class LateModel:
    """A field whose model is loaded, and built, only when there is something to check with it.

    The model's errors have the same places as if the model itself stood there.

    :param home: the model's module.
    :param name: the model's name.
    :param switched: turns what may stand instead of the model's fields into fields, a model, or None for no model.
    """

    __slots__ = ("home", "name", "switched")

    def __init__(self, home: str, name: str, switched: Callable[[Any], Any] | None = None) -> None:
        self.home, self.name, self.switched = home, name, switched

    @property
    def model(self) -> type[BaseModel]:
        """The model."""
        found: type[BaseModel] = getattr(import_module(self.home), self.name)
        return found

    def read(self, value: Any) -> BaseModel | None:
        """Make the model."""
        if self.switched is not None:
            value = self.switched(value)
            if value is None:
                return None
        return self.model.model_validate(value)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """How pydantic checks the field."""
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(
        self, checked: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """How an editor checks the field."""
        self.model.model_rebuild()
        of_model = self.model.__pydantic_core_schema__
        return handler(of_model if self.switched is None else core_schema.nullable_schema(of_model))
