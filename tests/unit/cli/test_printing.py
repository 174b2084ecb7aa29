from __future__ import annotations

import io
import json
import logging
import warnings

from featurebase_provider.cli.printing import quiet_logs, show_json, show_table
from featurebase_provider.cli.webhook_check import WebhookCheck
from featurebase_provider.rotation.check import StoreCheck
from featurebase_provider.rotation.errors import StoreForeignValue, StoreRefused, StoreUnreachable
from featurebase_provider.rotation.store import Writability
from tests.world.fakes import secret

FINGERPRINT = secret("0").fingerprint
PROVEN, UNPROVEN = Writability(True, "a dry run succeeded"), Writability(False, "no dry run there")
FINE = (
    StoreCheck("variable", "airflow-variable:a", "matches", FINGERPRINT, UNPROVEN),
    StoreCheck("github", "github://acme/app", "not_readable", None, PROVEN),
)
BAD = (
    StoreCheck("empty", "file:///[red]a[/red]\x1b[31m", "absent", None, PROVEN),
    StoreCheck("down", "x:1", "unknown", problem=StoreUnreachable("down (x:1)", "no answer")),
    StoreCheck("theirs", "x:2", "foreign", FINGERPRINT, problem=StoreForeignValue("theirs (x:2)", "not ours")),
    StoreCheck("blind", "x:3", "not_readable", problem=StoreForeignValue("blind (x:3)", "who knows")),
    StoreCheck("locked", "x:4", "matches", FINGERPRINT, problem=StoreRefused("locked (x:4)", "read-only")),
)


def a_check(*stores: StoreCheck, problem: str | None = None) -> WebhookCheck:
    return WebhookCheck("production", "5" * 24, None if problem else FINGERPRINT, problem, stores)


def table(*checks: WebhookCheck, notes: tuple[str, ...] = ()) -> str:
    out = io.StringIO()
    show_table(checks, notes, out=out)
    return out.getvalue()


def rows(shown: str) -> dict[str, list[str]]:
    """The table's cells by store."""
    lines = [[cell.strip() for cell in line.split("   ") if cell.strip()] for line in shown.splitlines()]
    return {line[0]: line[1:] for line in lines if line}


def test_a_row_tells_place_proof_and_what_is_held() -> None:
    shown = rows(table(a_check(*FINE)))
    assert shown["variable"] == ["airflow-variable:a", "not provable", "matches Featurebase", FINGERPRINT]
    assert shown["github"] == ["github://acme/app", "yes", "not readable"]
    assert shown["production"] == ["Featurebase", FINGERPRINT]
    assert "1 webhook, 2 stores: no findings. Nothing was changed." in shown


def test_findings_stand_below_the_table() -> None:
    shown = table(a_check(*BAD), a_check(problem="no answer"), notes=("the database is down",))
    cells = rows(shown)
    assert cells["down"] == ["x:1", "not asked", "-"]
    assert cells["theirs"] == ["x:2", "not asked", "not ours", FINGERPRINT]
    assert cells["blind"] == ["x:3", "not asked", "not readable"]
    assert cells["locked"] == ["x:4", "no", "matches Featurebase", FINGERPRINT]
    lines = shown.splitlines()
    assert "! production: store locked (x:4): read-only. Fix this, then try again" in lines
    assert "! production: no answer" in lines
    assert "Note: the database is down" in lines
    assert lines[-1] == "2 webhooks, 5 stores: 6 findings. Nothing was changed."


def test_texts_of_others_are_shown_as_they_are() -> None:
    """Neither rich's markup nor a terminal's control characters get through."""
    shown = table(a_check(*BAD))
    assert "file:///[red]a[/red] [31m" in shown
    assert "\x1b" not in shown


def test_json_is_for_programs() -> None:
    out = io.StringIO()
    show_json([a_check(*FINE), a_check(BAD[0], problem="no answer")], ["a note"], out=out)
    document = json.loads(out.getvalue())
    assert (document["ok"], document["notes"]) == (False, ["a note"])
    fine, bad = document["webhooks"]
    assert (fine["name"], fine["fingerprint"], fine["problem"]) == ("production", FINGERPRINT, None)
    assert fine["stores"][0] == {
        "store": "variable",
        "target": "airflow-variable:a",
        "writable": "not provable",
        "writable_detail": "no dry run there",
        "holds": "matches",
        "fingerprint": FINGERPRINT,
        "problem": None,
    }
    assert bad["problem"] == "no answer"
    assert "holds no secret yet" in bad["stores"][0]["problem"]


def test_json_says_ok_only_where_nothing_was_found() -> None:
    out = io.StringIO()
    show_json([a_check(*FINE)], [], out=out)
    assert json.loads(out.getvalue())["ok"] is True


def test_clients_are_silent_meanwhile(capsys) -> None:
    """Log lines and warnings of clients don't get between the lines; afterwards all is as before."""
    before = logging.root.manager.disable
    with quiet_logs():
        logging.getLogger("client").critical("loud")
        warnings.warn("deprecated", DeprecationWarning, stacklevel=1)
    assert logging.root.manager.disable == before
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")
