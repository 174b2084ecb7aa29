"""Writes the reference page of the rotation file from its JSON Schema, which comes from the models."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featurebase_provider.config.schema import rotation_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PAGE = Path(__file__).parents[2] / "docs" / "configuration-reference.md"
HEAD = """# Every field of the rotation file

Made by `make schema` from the models that read the file. [The rotation file](configuration.md) explains how the fields
belong together.

A duration is written as in ISO 8601: `PT10M` is 10 minutes, `P1D` a day.
"""
LEFT_OUT = ("JsonValue", "WebhookSettings")
"""Definitions without a chapter: any JSON value; and the part of a webhook's fields that ``defaults`` takes."""


def page() -> str:
    """The whole page, in Markdown."""
    schema = rotation_schema()
    definitions = schema["$defs"]
    shared = ", ".join(f"`{name}`" for name in definitions["WebhookSettings"]["properties"])
    chapters = [HEAD, _chapter("The file", schema), f"`defaults` takes these fields of a webhook: {shared}.\n"]
    chapters += [_chapter(_title(name), definitions[name]) for name in _in_order(definitions)]
    return "\n".join(chapters)


def _title(name: str) -> str:
    """A definition's heading: the type of a store as the file spells it, or what the part is."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    return words.removesuffix("_config").removesuffix("_store").replace("webhook_settings", "webhook")


def _in_order(definitions: Mapping[str, Any]) -> list[str]:
    """A webhook and its parts before the stores."""
    names = [name for name in definitions if name not in LEFT_OUT]
    parts = [name for name in names if name.endswith("Config")]
    return sorted(parts, key=lambda name: (name != "WebhookConfig", name)) + sorted(set(names) - set(parts))


def _chapter(heading: str, model: Mapping[str, Any]) -> str:
    lines = [f"## {heading}", ""]
    if "description" in model:
        lines += [_cell(model["description"].partition(":param")[0]), ""]
    lines += ["| field | type | default | meaning |", "| --- | --- | --- | --- |"]
    required = model.get("required", ())
    for name, field in model["properties"].items():
        default = "required" if name in required else _default(field)
        meaning = _cell(field.get("description", ""))
        lines.append(f"| `{name}` | {'; '.join(_types(field))} | {default} | {meaning} |")
    return "\n".join([*lines, ""])


def _default(field: Mapping[str, Any]) -> str:
    if "default" not in field:
        return ""
    value = field["default"]
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"


def _types(field: Mapping[str, Any]) -> Iterator[str]:
    """What a value may be, one text for each kind of value."""
    if "anyOf" in field or "oneOf" in field:
        seen: dict[str, None] = {}
        for option in field.get("anyOf", field.get("oneOf")):
            seen.update(dict.fromkeys(_types(option)))
        yield from seen
    elif "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        yield "any JSON value" if name == "JsonValue" else f"[{_title(name)}](#{_title(name)})"
    elif "enum" in field:
        yield ", ".join(f"`{value}`" for value in field["enum"])
    elif "const" in field:
        yield f"`{field['const']}`"
    elif field.get("type") == "array":
        of = field.get("items", field.get("prefixItems", [{}])[0])
        yield f"list of {' or '.join(_types(of))}{_bounds(field, 'Items', ' entries')}"
    elif field.get("type") == "object":
        values = field.get("additionalProperties")
        yield f"mapping to {' or '.join(_types(values))}" if isinstance(values, dict) and values else "mapping"
    elif "title" in field and "type" not in field:
        yield _cell(field["title"])
    else:
        yield _scalar(field)


def _scalar(field: Mapping[str, Any]) -> str:
    kind = str(field.get("format") or field.get("type") or "any value")
    kind = {"null": "`null`", "string": "text"}.get(kind, kind)
    low = field.get("minimum", field.get("exclusiveMinimum"))
    high = field.get("maximum", field.get("exclusiveMaximum"))
    if low is not None and high is not None:
        return f"{kind}, {low} to {high}"
    if low is not None:
        return f"{kind}, {low} or more" if "minimum" in field else f"{kind}, more than {low}"
    if high is not None:
        return f"{kind}, up to {high}"
    return kind + _bounds(field, "Length", " characters")


def _bounds(field: Mapping[str, Any], what: str, unit: str = "") -> str:
    low, high = field.get(f"min{what}"), field.get(f"max{what}")
    if high is not None and low == high:
        return f", exactly {low}{unit}"
    if high is not None:
        return f", {low or 0} to {high}{unit}"
    return f", {low} or more{unit}" if low else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> None:
    """Write the page and print its path."""
    PAGE.write_text(page())
    sys.stdout.write(f"{PAGE}\n")


if __name__ == "__main__":
    main()
