"""Which task makes which calls of the Featurebase API."""

from __future__ import annotations

from collections import Counter

import pytest

from dev.bench.api_calls import by_task, path_of, rows_of

WEBHOOK = "507f1f77bcf86cd799439011"
PROCESSES = [
    {"task": "rotate", "running": 101.0, "over": 102.0},
    {"task": "push.a", "running": 103.0, "over": 104.0},
    {"task": "push.b", "running": 103.5, "over": 104.5},
]


def call(at: float, method: str = "GET", path: str = f"/v2/webhooks/{WEBHOOK}") -> dict[str, object]:
    return {"at": round(at * 1000), "method": method, "path": path}


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (f"/v2/webhooks/{WEBHOOK}", "/v2/webhooks/{id}"),
        (f"/v2/webhooks/{WEBHOOK}/secret", "/v2/webhooks/{id}/secret"),
        ("/v2/webhooks", "/v2/webhooks"),
        ("/v2/audit-logs", "/v2/audit-logs"),
    ],
)
def test_a_path_names_no_webhook(path: str, shown: str) -> None:
    assert path_of(path) == shown


def test_a_call_belongs_to_the_task_that_was_at_work() -> None:
    """Push tasks run side by side, and all make the same calls. Between tasks only the triggerer calls."""
    calls = [call(101.5), call(101.6, "POST", f"/v2/webhooks/{WEBHOOK}/secret"), call(103.6), call(104.4), call(110)]
    assert by_task(calls, PROCESSES) == {
        ("rotate", "GET", "/v2/webhooks/{id}"): 1,
        ("rotate", "POST", "/v2/webhooks/{id}/secret"): 1,
        ("push.*", "GET", "/v2/webhooks/{id}"): 2,
        ("(triggerer)", "GET", "/v2/webhooks/{id}"): 1,
    }


def test_rows_say_how_far_runs_differ() -> None:
    kind = ("verify_delivery", "GET", "/v2/webhooks/{id}")
    refresh = ("rotate", "POST", "/v2/webhooks/{id}/secret")
    rows = rows_of("rotation", [Counter({kind: 3, refresh: 1}), Counter({kind: 5, refresh: 1}), Counter({refresh: 1})])
    figures = {(row["task"], row["method"]): (row["calls"], row["fewest"], row["most"]) for row in rows}
    assert figures == {
        ("verify_delivery", "GET"): (3, 0, 5),
        ("rotate", "POST"): (1, 1, 1),
        ("(all)", ""): (4, 1, 6),
    }
