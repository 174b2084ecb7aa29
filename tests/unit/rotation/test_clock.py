from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from featurebase_provider.rotation import clock
from featurebase_provider.rotation.clock import SYSTEM_CLOCK, Moment, boot_id, milliseconds_between


def test_a_moment_survives_json() -> None:
    moment = Moment(12.5, 1700000000.25, "boot")
    assert Moment.from_json(asdict(moment)) == moment


def test_no_moment_is_none() -> None:
    assert Moment.from_json(None) is None


@pytest.mark.parametrize(
    ("end", "milliseconds"),
    [
        (Moment(11.0, 5000.0, "boot"), 1000.0),
        (Moment(9.0, 5000.0, "boot"), 0.0),
        (Moment(11.0, 102.5, "other"), 2500.0),
        (Moment(11.0, 102.5, None), 2500.0),
        (Moment(11.0, 99.0, "other"), 0.0),
    ],
    ids=["one boot", "never negative", "rebooted or elsewhere", "boot unknown", "wall clock set back"],
)
def test_the_monotonic_clock_counts_only_within_one_boot(end: Moment, milliseconds: float) -> None:
    """A wall clock may be set; but monotonic clocks of two boots have nothing to do with each other."""
    assert milliseconds_between(Moment(10.0, 100.0, "boot"), end) == pytest.approx(milliseconds)


def test_two_unknown_boots_are_not_the_same() -> None:
    assert milliseconds_between(Moment(10.0, 100.0), Moment(99.0, 101.0)) == pytest.approx(1000.0)


def test_the_boot_id_is_read_or_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "boot_id"
    monkeypatch.setattr(clock, "BOOT_ID", file)
    assert boot_id() is None
    file.write_text("3b0c\n")
    assert boot_id() == "3b0c"


def test_on_linux_the_kernel_names_the_boot() -> None:
    """proc(5): the same for every process until the next boot."""
    assert Path("/proc/sys/kernel/random/boot_id") == clock.BOOT_ID


def test_the_machines_clock_waits() -> None:
    began = SYSTEM_CLOCK.monotonic()
    SYSTEM_CLOCK.sleep(0.02)
    assert SYSTEM_CLOCK.monotonic() - began >= 0.02
