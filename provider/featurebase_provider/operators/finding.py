"""What a task leaves for the report beside its result: why it did not succeed, and what it found."""

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
"""Names the XCom. Airflow deletes it when the next try starts, as it does with results."""
LONGEST = 2000
"""Characters of a message that the report keeps."""


@contextmanager
def leaving_word(context: Context, found: Callable[[], Mapping[str, Any] | None] = lambda: None) -> Iterator[None]:
    """Have the report told why the task was skipped or failed, in its own words, and what it found.

    :param found: what there is to tell by then, success or not; holds no secret.
    """
    why: str | None = None
    try:
        yield
    except (AirflowSkipException, AirflowFailException, FeaturebaseError) as exc:
        why = one_line(str(exc), LONGEST)
        raise
    except Exception as exc:
        # Not its words: they are somebody else's, and may quote what they should not.
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
        log.warning("Airflow took no word for the report (%s): it will lack what this task has to say", exc)


def finding_of(context: Context, task_id: str) -> Mapping[str, Any]:
    """What a task of this Dag run, and of this branch of a mapped group, left; empty where it left nothing."""
    branch = branch_of(context)
    where: dict[str, Any] = {} if branch is None else {"map_indexes": branch}
    raw = context["ti"].xcom_pull(task_ids=task_id, key=KEY, **where)
    return raw if isinstance(raw, dict) else {}


def why_of(context: Context, task_id: str) -> str | None:
    """Why a task was skipped or failed, as it said itself."""
    why = finding_of(context, task_id).get("why")
    return one_line(str(why), LONGEST) if why else None
