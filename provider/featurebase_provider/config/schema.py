"""Makes the JSON Schema of the rotation file from its models, for editors.

``python -m featurebase_provider.config.schema`` writes it to the file that ships with the package.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from featurebase_provider.config.models import WebhookConfig, WebhookSettings
from featurebase_provider.stores.base import StoreConfig
from featurebase_provider.stores.registry import BUILT_IN, store_class

SHIPPED = Path(__file__).parent.parent / "rotation_config.schema.json"

_PARAM = re.compile(r"^:param (\w+): (.*?)(?=^:|\Z)", re.MULTILINE | re.DOTALL)

_RotationFile = create_model(
    "RotationFile",
    __config__=ConfigDict(extra="forbid"),
    defaults=(
        WebhookSettings | None,
        Field(None, description="What holds for every webhook that does not say otherwise."),
    ),
    webhooks=(
        list[WebhookConfig],
        Field(min_length=1, description="The webhooks whose secrets are rotated."),
    ),
)


class _Untitled(GenerateJsonSchema):
    """Leaves out the titles that only repeat the fields' names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def rotation_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a rotation file with the built-in store types."""
    stores = [store_class(name) for name in BUILT_IN]
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [(_RotationFile, "validation")]
    models += [(store, "validation") for store in stores]
    _, generated = models_json_schema(models, schema_generator=_Untitled)
    definitions = generated["$defs"]
    definitions.pop("StoreConfig", None)  # the base of the store types is none itself
    for store in stores:
        _describe_store(definitions[store.__name__], store)
    webhook = definitions["WebhookConfig"]
    webhook["oneOf"] = [{"required": ["webhook_id"]}, {"required": ["webhook_name"]}]
    webhook["properties"]["stores"]["items"] = {
        "anyOf": [*({"$ref": f"#/$defs/{store.__name__}"} for store in stores), _plug_in_store()]
    }
    for owner in ("WebhookConfig", "WebhookSettings"):
        definitions[owner]["properties"]["probe"]["anyOf"].append({"type": "boolean"})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **definitions.pop("RotationFile"),
        "title": "Rotation file of airflow-provider-featurebase",
        "$defs": definitions,
    }


def schema_text() -> str:
    """The schema as the shipped file holds it."""
    return json.dumps(rotation_schema(), indent=2) + "\n"


def field_descriptions(store: type[StoreConfig]) -> dict[str, str]:
    """What the docstrings of a store type (``:param field: ...``) say of its fields, Markdown-quoted."""
    found: dict[str, str] = {}
    for model in reversed(store.__mro__):
        if issubclass(model, StoreConfig):
            for name, text in _PARAM.findall(inspect.cleandoc(model.__doc__ or "")):
                words = " ".join(text.split()).replace("``", "`")
                found[name] = words[:1].upper() + words[1:]
    return found


def _describe_store(definition: dict[str, Any], store: type[StoreConfig]) -> None:
    text = inspect.cleandoc(store.__doc__ or "").partition("\n:param")[0]
    definition["description"] = " ".join(text.split()).replace("``", "`")
    definition["required"] = sorted({*definition.get("required", ()), "type"})
    for name, description in field_descriptions(store).items():
        if name in definition["properties"]:
            definition["properties"][name].setdefault("description", description)


def _plug_in_store() -> dict[str, Any]:
    return {
        "title": "A store type that another distribution offers",
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"type": "string", "not": {"enum": list(BUILT_IN)}}},
    }


if __name__ == "__main__":
    SHIPPED.write_text(schema_text())
    sys.stdout.write(f"{SHIPPED}\n")
