"""The XCom that a task leaves for the report in addition to its result: why it did not succeed, and what it found."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
from airflow.sdk.exceptions import AirflowRuntimeError

from featurebase_provider.airflow_compat import AirflowFailException, AirflowSkipException, branch_of
from featurebase_provider.featurebase.errors import FeaturebaseError
from featurebase_provider.featurebase.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow.sdk import Context

log = logging.getLogger(__name__)

KEY = "finding"
"""The XCom's key. Airflow deletes it when the next try starts, as it does with results."""
LONGEST = 2000
"""Most characters of a message that the report keeps."""


@contextmanager
def leaving_word(context: Context, found: Callable[[], Mapping[str, Any] | None] = lambda: None) -> Iterator[None]:
    """Leave a message for the report: why the task was skipped or failed, and what it found.

    :param found: returns what the task has found by then, whether or not it succeeds; holds no secret.
    """
    why: str | None = None
    try:
        yield
    except (AirflowSkipException, AirflowFailException, FeaturebaseError) as exc:
        why = one_line(str(exc), LONGEST)
        raise
    except Exception as exc:
        # Its text is left out: other code made it, and it may quote a secret.
        why = f"it ended with {type(exc).__name__}, which is an error of this provider or of Airflow; its log has more"
        raise
    finally:
        facts = found()
        if why is not None or facts is not None:
            _leave(context, {"why": why, "found": facts})


def _leave(context: Context, finding: Mapping[str, Any]) -> None:
    try:
        context["ti"].xcom_push(key=KEY, value=finding)
    except (AirflowRuntimeError, httpx.HTTPError, OSError) as exc:  # the task ends as it would have
        log.warning("Airflow did not store this task's message for the report (%s), which will lack it", exc)


def finding_of(context: Context, task_id: str) -> Mapping[str, Any]:
    """What a task of this Dag run (and of this branch of a mapped group) left; empty if it left nothing."""
    branch = branch_of(context)
    where: dict[str, Any] = {} if branch is None else {"map_indexes": branch}
    raw = context["ti"].xcom_pull(task_ids=task_id, key=KEY, **where)
    return raw if isinstance(raw, dict) else {}


def why_of(context: Context, task_id: str) -> str | None:
    """The task's own message about why it was skipped or failed, or None."""
    why = finding_of(context, task_id).get("why")
    return one_line(str(why), LONGEST) if why else None
