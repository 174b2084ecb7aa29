"""The crash matrix's own parts: its cases, its page, and the gate before Airflow's API server."""

from __future__ import annotations

from collections import Counter

import httpx
import pytest
from fastapi import FastAPI, Request

from featurebase_provider.sandbox.server import AppServer
from tests.crash import pair_points
from tests.crash.case import Result
from tests.crash.execution_api import ExecutionApi
from tests.crash.matrix import FULL, FULL_LANES, SHORT
from tests.crash.points import Point
from tests.crash.table import as_page


def test_every_case_has_an_id_of_its_own() -> None:
    assert [case_id for case_id, count in Counter(case.id for case in FULL).items() if count > 1] == []
    assert set(SHORT) <= set(FULL)


def test_every_point_of_a_pair_is_played() -> None:
    points = {point for point in vars(pair_points).values() if isinstance(point, Point)}
    assert points == {case.point for case in FULL if case.point.strategy == "overlap"}
    assert {lane.strategy for lane in FULL_LANES} == {"refresh", "overlap"}


def test_a_page_keeps_what_it_says_of_a_strategy_that_was_not_played() -> None:
    rows = [Result("a point", "task", "retry", "refresh"), Result("another", "both", "retry", "overlap")]
    page = as_page(rows)
    assert as_page(rows[:1], page) == as_page(rows[1:], page) == page
    assert "| a point |" in page
    assert "| another |" in page
    assert "| another |" not in as_page(rows[:1])


def test_a_call_to_airflow_is_held_before_it_takes_effect_and_after() -> None:
    app, taken = FastAPI(openapi_url=None), []

    @app.put("/execution/variables/{name}", status_code=201)
    async def put(name: str, request: Request) -> dict[str, str]:
        taken.append((name, await request.json(), request.headers["authorization"]))
        return {"of": str(request.url.query)}

    with AppServer(app) as behind, ExecutionApi(behind.url) as before:
        url = f"{before.url}/execution/variables/a%20name?x=%2B"

        def put_it(timeout: float = 30) -> httpx.Response:
            headers = {"Authorization": "Bearer it"}
            return httpx.put(url, json={"value": 1}, headers=headers, trust_env=False, timeout=timeout)

        answer = put_it()
        assert (answer.status_code, answer.json(), len(taken)) == (201, {"of": "x=%2B"}, 1)
        assert taken[0] == ("a name", {"value": 1}, "Bearer it")
        for when, effect in (("before", 0), ("after", 1)):
            hold = before.gate.hold(lambda method, _path, body: method == "PUT" and b"value" in body, when)
            taken.clear()
            with pytest.raises(httpx.ReadTimeout):
                put_it(timeout=0.5)
            assert hold.is_reached()
            before.gate.drop(hold)
            assert len(taken) == effect
        assert put_it().status_code == 201
