"""Texts of an HTTP request with ``{{ secret }}`` and the like in them: checked at Dag parse, filled in when sent.

Jinja with everything taken away that a request does not need: a sandbox without globals, loaders and most
filters, in which an unknown name is an error.
"""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2 import Environment

HARD_TEXT = 'whsec_"\\ \u2028/+&=%'
"""A value that breaks whatever does not escape it."""


@cache
def _environment() -> Environment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
    environment.globals.clear()
    environment.filters.clear()
    environment.filters.update(
        b64encode=lambda text: base64.b64encode(str(text).encode()).decode(),
        tojson=lambda value: json.dumps(value),
        urlencode=lambda text: quote(str(text), safe=""),
    )
    return environment


def names_in(text: str, allowed: frozenset[str]) -> frozenset[str]:
    """Which variables a template uses.

    :raises ValueError: it is no template, or uses something that there is not.
    """
    from jinja2 import TemplateError, meta

    environment = _environment()
    try:
        environment.from_string(text)
        used = frozenset(meta.find_undeclared_variables(environment.parse(text)))
    except TemplateError as error:
        filters = ", ".join(sorted(environment.filters))
        raise ValueError(f"the template is not valid: {error.message}; there are the filters {filters}") from None
    if unknown := sorted(used - allowed):
        known = ", ".join(sorted(allowed)) or "no variables"
        raise ValueError(f"the template uses {', '.join(unknown)}; here there is {known}")
    return used


def rendered(text: str, values: Mapping[str, str]) -> str:
    """Fill a template in.

    :raises ValueError: it can't be; the reason is left out, as it may quote a value.
    """
    from jinja2 import TemplateError

    try:
        return _environment().from_string(text).render(values)
    except (TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"the template could not be filled in ({type(error).__name__})") from None


def samples() -> list[dict[str, str]]:
    """The kinds of values that a request to write is made with: first, next, and without a previous secret."""
    known = {"webhook_id": "507f1f77bcf86cd799439011", "secret": HARD_TEXT}
    return [
        {**known, "previous": previous, "version": version}
        for previous in ("", HARD_TEXT + "~")
        for version in ("", "7")
    ]


def check_json(body: str) -> None:
    """Make sure that a JSON body stays JSON whatever the secret looks like.

    :raises ValueError: it does not.
    """
    for values in samples():
        try:
            json.loads(rendered(body, values))
        except json.JSONDecodeError as error:
            raise ValueError(
                f"filled in, the body is no valid JSON (line {error.lineno}, column {error.colno}). Write a text as "
                '{{ secret | tojson }}, without quotes around it, or as "{{ secret | b64encode }}": it may hold quotes'
            ) from None
