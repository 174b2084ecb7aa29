"""Generates the JSON Schema of the rotation file from its models, for editors.

``python -m featurebase_provider.config.schema PATH`` writes a schema that knows every installed store type. Without a
path it writes the file that ships with the package, which knows the built-in types.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from featurebase_provider.config.agreement import IDENTIFIERS
from featurebase_provider.config.audit import AuditConfig
from featurebase_provider.config.models import WebhookConfig
from featurebase_provider.config.settings import WebhookSettings
from featurebase_provider.stores.base import StoreConfig
from featurebase_provider.stores.registry import BUILT_IN, store_class, store_types

if TYPE_CHECKING:
    from collections.abc import Sequence

SHIPPED = Path(__file__).parent.parent / "rotation_config.schema.json"

_PARAM = re.compile(r"^:param (\w+): (.*?)(?=^:|\Z)", re.MULTILINE | re.DOTALL)

_RotationFile = create_model(
    "RotationFile",
    __config__=ConfigDict(extra="forbid"),
    defaults=(
        WebhookSettings | None,
        Field(None, description="Default settings for all webhooks; each webhook can override them."),
    ),
    audit=(
        AuditConfig | None,
        Field(None, description="Settings of the Dag that audits all webhooks; optional."),
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


def rotation_schema(types: Sequence[str] | None = None) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a rotation file.

    :param types: the store types that a file may use. Default: the built-in ones; other types are not checked.
    :raises StorePluginBroken: a plug-in offers a type but can't be used.
    """
    stores = [store_class(name) for name in (BUILT_IN if types is None else types)]
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [(_RotationFile, "validation")]
    models += [(store, "validation") for store in stores]
    references, generated = models_json_schema(models, schema_generator=_Untitled)
    definitions = generated["$defs"]
    definitions.pop("StoreConfig", None)  # the base of the store types is none itself
    of_stores = [references[store, "validation"] for store in stores]  # two types' classes may have the same name
    for store, reference in zip(stores, of_stores, strict=True):
        _describe_store(definitions[reference["$ref"].rpartition("/")[2]], store)
    webhook = definitions["WebhookConfig"]
    webhook["oneOf"] = [{"required": [name]} for name in IDENTIFIERS]
    others = [_plug_in_store()] if types is None else []
    webhook["properties"]["stores"]["items"] = {"anyOf": [*of_stores, *others]}
    for owner in ("WebhookConfig", "WebhookSettings"):
        definitions[owner]["properties"]["probe"]["anyOf"].append({"type": "boolean"})
        definitions[owner]["properties"]["approval"]["anyOf"] += [{"type": "boolean"}, {"const": "always"}]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **definitions.pop("RotationFile"),
        "title": "Rotation file of airflow-provider-featurebase",
        "$defs": definitions,
    }


def schema_text(types: Sequence[str] | None = None) -> str:
    """The text of the schema file; by default of the one that ships with the package."""
    return json.dumps(rotation_schema(types), indent=2) + "\n"


def field_descriptions(store: type[StoreConfig]) -> dict[str, str]:
    """The descriptions of a store type's fields from its docstrings (``:param field: ...``), escaped for Markdown."""
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
        "title": "A store type from another distribution",
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"type": "string", "not": {"enum": list(BUILT_IN)}}},
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Write the schema and print its path.

    :raises StorePluginBroken: a plug-in offers a type but can't be used.
    """
    parser = argparse.ArgumentParser(
        prog="python -m featurebase_provider.config.schema", description="Write the JSON Schema of the rotation file."
    )
    parser.add_argument(
        "path",
        type=Path,
        nargs="?",
        help="write a schema of all installed store types to this file (default: the file in the package, with the "
        "built-in types)",
    )
    path: Path | None = parser.parse_args(argv).path
    text = schema_text() if path is None else schema_text(store_types())
    (path or SHIPPED).write_text(text)
    sys.stdout.write(f"{path or SHIPPED}\n")


if __name__ == "__main__":
    main()
