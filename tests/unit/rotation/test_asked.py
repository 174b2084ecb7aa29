"""What somebody asked of a Dag run, as conf, against what the task was told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from featurebase_provider.rotation.asked import check_asked
from featurebase_provider.rotation.errors import PlanRefused

TOLD = {"mode": "rotate", "reason": None}
EMERGENCY = {"webhooks": ["production"], "reason": ""}


def refusal(conf: Any, told: dict[str, Any] = TOLD, *, strict: bool = True, **facts: Any) -> str:
    with pytest.raises(PlanRefused) as caught:
        check_asked("production", conf, told, **{"params": told, "strict": strict, **facts})
    assert str(caught.value).startswith("webhook production: ")
    assert "Nothing was changed" in str(caught.value)
    return str(caught.value)


def accept(conf: Any, told: dict[str, Any] = TOLD, *, strict: bool = True, **facts: Any) -> None:
    check_asked("production", conf, told, **{"params": told, "strict": strict, **facts})


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("conf", [None, {}, {"mode": "rotate"}, {"reason": None, "mode": "rotate"}])
def test_what_arrived_is_what_was_asked(conf: Any, strict: bool) -> None:
    accept(conf, strict=strict)


@pytest.mark.parametrize("strict", [True, False])
def test_a_value_that_did_not_arrive_ends_the_run(strict: bool) -> None:
    message = refusal({"mode": "dry_run"}, strict=strict)
    assert 'asks for mode "dry_run", but this task received "rotate"' in message
    assert "[core] dag_run_conf_overrides_params" in message


def test_a_mode_that_the_dag_file_fixes_is_said_to_be() -> None:
    message = refusal({"mode": "dry_run"}, params={"mode": "dry_run"}, strict=False)
    assert "the Dag file sets it for this task" in message


def test_keys_and_values_that_json_does_not_know_are_shown() -> None:
    """A run that is triggered from Python may have them."""
    message = refusal({"mode": timedelta(days=1), 7: "x"})
    assert 'asks for mode "1 day, 0:00:00"' in message
    assert 'the run\'s conf has "7"' in message
    assert "did you mean" not in refusal({"deeper": {7: "x"}})
    assert 'did you mean "7" at the top' in refusal({"deeper": {7: "x"}}, {"7": "y"})


def test_every_problem_is_named() -> None:
    message = refusal({"mode": "dry_run", "reasonn": "x"})
    assert "asks for mode" in message
    assert '"reasonn"' in message


SLIPS = [
    ({"dry_run": True}, '{"mode": "dry_run"}'),
    ({"dryRun": True}, '{"mode": "dry_run"}'),
    ({"DISTRIBUTE": 1}, '{"mode": "distribute"}'),
    ({"Mode": "dry_run"}, '"mode"'),
    ({"modes": "dry_run"}, '"mode"'),
    ({"moed": "dry_run"}, '"mode"'),
    ({"mod": "dry_run"}, '"mode"'),
    ({"modus": "dry_run"}, '"mode"'),
    ({"reasons": "x"}, '"reason"'),
    ({"conf": {"mode": "dry_run"}}, '"mode" at the top of the conf'),
    ({"params": {"deeper": {"Mode": "dry_run"}}}, '"deeper" at the top of the conf'),
    ({"params": [{"dry_run": True}]}, '"dry_run" at the top of the conf'),
]


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(("conf", "meant"), SLIPS)
def test_a_slip_of_the_pen_ends_the_run_and_is_told(conf: Any, meant: str, strict: bool) -> None:
    assert f"did you mean {meant}?" in refusal(conf, strict=strict)


@pytest.mark.parametrize(
    ("conf", "meant"),
    [
        ({"webhook": ["production"]}, '"webhooks"'),
        ({"Webhooks": ["x"]}, '"webhooks"'),
        ({"web_hooks": []}, '"webhooks"'),
    ],
)
def test_slips_in_an_emergency(conf: Any, meant: str) -> None:
    assert f"did you mean {meant}?" in refusal(conf, EMERGENCY)


@pytest.mark.parametrize("conf", [{"mode": "dry_run"}, {"dry_run": True}])
def test_an_emergency_knows_no_mode(conf: Any) -> None:
    message = refusal(conf, EMERGENCY)
    assert "which is none of webhooks, reason" in message
    assert "did you mean" not in message


def test_the_providers_own_dags_take_no_other_key() -> None:
    assert 'the run\'s conf has "ticket", which is none of mode, reason' in refusal({"ticket": "OPS-1"})
    accept({"ticket": "OPS-1"}, declared=["ticket"])


@pytest.mark.parametrize(
    "conf", [{"ticket": "OPS-1"}, {"env": {"region": ["eu"]}}, {"rotate_logs": True}, {"dates": []}]
)
def test_a_dag_of_ones_own_has_keys_of_its_own(conf: Any) -> None:
    accept(conf, strict=False)


def test_a_declared_param_is_its_authors() -> None:
    assert "declare it as a param of the Dag" in refusal({"node": 3}, strict=False)
    accept({"node": 3, "job": {"mode": "fast"}}, strict=False, declared=["node", "job"])


def test_what_is_shown_of_a_conf_is_short_and_one_line() -> None:
    message = refusal({"mode": "x\n" * 500, "k" * 500: 1})
    assert len(message) < 900
    assert message.count("x\\n") < 25
    assert "\n" not in message
