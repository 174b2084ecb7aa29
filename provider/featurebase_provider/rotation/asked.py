"""Compares a Dag run's conf with the values that its tasks received, before anything is changed.

Airflow does not check this. It accepts conf keys that are not params, and if ``[core] dag_run_conf_overrides_params``
is False, tasks get the params' defaults whatever the conf says (3.1 to 3.3).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING

from featurebase_provider.featurebase.text import one_line
from featurebase_provider.rotation.errors import PlanRefused
from featurebase_provider.rotation.modes import MODES

if TYPE_CHECKING:
    from collections.abc import Collection

ALIKE, ALIKE_WITHIN = 0.6, 0.8
"""Similarity (``difflib`` ratio) from which a key counts as a typo: two letters off ``mode``, for example."""
_LONGEST = 60
"""Most characters of a key or a value that are compared or shown."""


def check_asked(
    webhook: str,
    conf: object,
    goes_by: Mapping[str, object],
    *,
    params: Mapping[str, object],
    declared: Collection[str] = (),
    strict: bool,
) -> None:
    """Check that every key of a Dag run's conf is known and that its value reached the task.

    :param webhook: the webhook, for messages.
    :param conf: the Dag run's conf.
    :param goes_by: the values that the task uses, by conf key.
    :param params: the params that Airflow gives the task.
    :param declared: names of the Dag's params; they may be the Dag author's own.
    :param strict: True refuses every unknown key; False only those that look like a typo of a key in ``goes_by``.
    :raises PlanRefused: a key is unknown, or a value did not arrive; nothing was changed.
    """
    problems = [
        problem
        for key, value in (conf.items() if isinstance(conf, Mapping) else ())
        if (problem := _problem(str(key), value, goes_by, params, declared, strict=strict)) is not None
    ]
    if problems:
        raise PlanRefused(webhook, f"{'; '.join(problems)}. Nothing was changed; trigger a new run")


def _problem(
    key: str,
    value: object,
    goes_by: Mapping[str, object],
    params: Mapping[str, object],
    declared: Collection[str],
    *,
    strict: bool,
) -> str | None:
    if key in goes_by:
        return _difference(key, value, goes_by[key], params)
    if key in declared:
        return None
    meant = _meant(key, value, goes_by)
    if meant is None and not strict:
        return None
    hint = f"; did you mean {meant}?" if meant is not None else ""
    own = "" if strict else ". If it is your Dag's own, declare it as a param of the Dag"
    return f"the run's conf has {one_line(json.dumps(key), _LONGEST)}, which is none of {', '.join(goes_by)}{hint}{own}"


def _difference(key: str, asked: object, goes_by: object, params: Mapping[str, object]) -> str | None:
    if asked == goes_by:
        return None
    because = (
        "the Dag file sets it for this task, whatever a run asks"
        if params.get(key) == asked
        else "Airflow did not pass it on ([core] dag_run_conf_overrides_params is False, or the task has own params)"
    )
    return f"the run asks for {key} {_shown(asked)}, but this task received {_shown(goes_by)}: {because}"


def _meant(key: str, value: object, known: Collection[str], cutoff: float = ALIKE) -> str | None:
    """The key that was most likely meant, as it must be written."""
    for mode in MODES:
        if "mode" in known and _plain(key) == _plain(mode):
            return json.dumps({"mode": mode})
    alike = get_close_matches(_plain(key)[:_LONGEST], known, cutoff=cutoff)
    if alike:
        return json.dumps(alike[0])
    inner = [value] if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for nested in inner:
        for name, held in nested.items() if isinstance(nested, Mapping) else ():
            if _meant(str(name), held, known, ALIKE_WITHIN) is not None:
                return f"{json.dumps(str(name))} at the top of the conf"
    return None


def _plain(key: str) -> str:
    return "".join(filter(str.isalnum, key.lower()))


def _shown(value: object) -> str:
    return one_line(json.dumps(value, default=str), _LONGEST)
