"""What the cut-over's trigger stores in Airflow's database."""

from __future__ import annotations

import importlib
import json

from featurebase_provider.triggers.cut_over import CutOverTrigger


def test_trigger_is_found_again_by_what_it_stores() -> None:
    """The triggerer makes it anew from its class path and arguments, which pass through JSON."""
    cut_over = {
        "old": "a" * 24,
        "new": "b" * 24,
        "old_holds": "sha256:0123456789abcdef",
        "new_holds": "sha256:fedcba9876543210",
        "planned_at": "2026-01-15T10:30:00+00:00",
        "activated_at": "2026-01-15T10:31:00+00:00",
        "first_delivery": 300.0,
        "pending": 3600.0,
    }
    watched = {"paused_by_us": False, "old_failed": True, "polls": 7, "refused": 1}
    path, arguments = CutOverTrigger(
        cut_over=cut_over, featurebase_conn_id="featurebase_default", replaced=["sha256:00"], watched=watched
    ).serialize()
    module, _, name = path.rpartition(".")
    again = getattr(importlib.import_module(module), name)(**json.loads(json.dumps(arguments)))
    assert again.serialize() == (path, arguments)
    assert arguments["cut_over"] == cut_over
    assert arguments["watched"] == watched
