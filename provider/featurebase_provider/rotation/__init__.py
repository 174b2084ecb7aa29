"""What a rotation is. Knows no Airflow.

Operators use its modules as attributes (``rotation.plan``), which loads them on first use: parsing a Dag loads none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from featurebase_provider.late import modules_of

if TYPE_CHECKING:
    from featurebase_provider.rotation import (
        activate,
        advice,
        all_stores,
        approval,
        check,
        clock,
        current,
        cut_over,
        cut_over_steps,
        emergency_summary,
        errors,
        find,
        found,
        health,
        history,
        jobs,
        memory,
        moves,
        one_store,
        pair,
        pair_emergency,
        pair_plan,
        pair_reading,
        pair_records,
        pair_report,
        pair_rotate,
        past,
        plan,
        probe,
        push,
        reactivation,
        refresh,
        refresh_count,
        refresh_log,
        report,
        report_tables,
        rotate,
        run_facts,
        schedule,
        take_back,
    )

__all__ = [
    "activate",
    "advice",
    "all_stores",
    "approval",
    "check",
    "clock",
    "current",
    "cut_over",
    "cut_over_steps",
    "emergency_summary",
    "errors",
    "find",
    "found",
    "health",
    "history",
    "jobs",
    "memory",
    "moves",
    "one_store",
    "pair",
    "pair_emergency",
    "pair_plan",
    "pair_reading",
    "pair_records",
    "pair_report",
    "pair_rotate",
    "past",
    "plan",
    "probe",
    "push",
    "reactivation",
    "refresh",
    "refresh_count",
    "refresh_log",
    "report",
    "report_tables",
    "rotate",
    "run_facts",
    "schedule",
    "take_back",
]

if not TYPE_CHECKING:  # or type checkers would accept any attribute
    __getattr__ = modules_of(__name__, __all__)
