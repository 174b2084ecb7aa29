"""Loads modules when they are first used: Airflow parses Dag files again and again, and that needs few of them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import ModuleType


def modules_of(package: str, names: Sequence[str]) -> Callable[[str], Any]:
    """A package's ``__getattr__``, which imports its modules when they are asked for.

    :param package: the package's dotted name.
    :param names: its modules that can be asked for.
    """

    def load(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return importlib.import_module(f"{package}.{name}")

    return load


def names_of(module: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """A module's ``__getattr__``, which imports names from where they are defined when they are asked for.

    :param module: the module's dotted name.
    :param homes: the dotted name of each name's module.
    """

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        return getattr(importlib.import_module(homes[name]), name)

    return load


class LateModule:
    """Stands for a module, which is imported when something of it is used.

    :param name: the module's dotted name.
    """

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)


def load_all(*packages: ModuleType) -> None:
    """Load every module that can be asked for now, so that none is loaded later, when time counts."""
    for package in packages:
        for name in package.__all__:
            getattr(package, name)
