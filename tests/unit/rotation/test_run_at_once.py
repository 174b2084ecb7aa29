from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Iterator

import pytest

from featurebase_provider.featurebase.errors import SettingsInvalid
from featurebase_provider.rotation.errors import StoreError, StoreRefused, StoreUnreachable
from featurebase_provider.rotation.jobs import Job, run_at_once, run_here


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Hangs whoever waits for it until the test is over."""
    event = threading.Event()
    yield event
    event.set()


def raising(error: BaseException) -> Job[int]:
    def run() -> int:
        raise error

    return Job("a", run, 5)


def test_nothing_to_do_is_done() -> None:
    assert run_at_once({}) == {}


def test_jobs_run_at_the_same_time() -> None:
    """Each job ends only if the other one runs meanwhile."""
    both = threading.Barrier(2, timeout=5)
    done = run_at_once({key: Job(key, both.wait, 5) for key in "ab"})
    assert [one.error for one in done.values()] == [None, None]
    assert {one.value for one in done.values()} == {0, 1}


def test_results_come_in_the_order_given() -> None:
    first_waits = threading.Event()

    def second() -> str:
        first_waits.set()
        return "second"

    jobs: dict[str, Job[object]] = {
        "z": Job("z", lambda: first_waits.wait(5) and "first", 5),
        "m": Job("m", lambda: "main", 5, main_thread_only=True),
        "a": Job("a", second, 5),
    }
    assert [(key, one.value) for key, one in run_at_once(jobs).items()] == [
        ("z", "first"),
        ("m", "main"),
        ("a", "second"),
    ]


def test_main_thread_jobs_run_there_while_the_others_work() -> None:
    on_main = threading.Event()

    def main() -> threading.Thread:
        on_main.set()
        return threading.current_thread()

    jobs: dict[str, Job[object]] = {
        "thread": Job("thread", lambda: on_main.wait(5) and threading.current_thread(), 5),
        "main": Job("main", main, 5, main_thread_only=True),
    }
    done = run_at_once(jobs)
    assert done["main"].value is threading.main_thread()
    assert done["thread"].value is not threading.main_thread()


def test_no_job_begins_before_all_have_their_threads() -> None:
    """Threads at work would hold up the start of the others, and with it what the main thread does: it comes last."""
    there: list[set[str]] = []

    def begin() -> None:
        there.append({thread.name for thread in threading.enumerate()})

    jobs = {key: Job(key, begin, 5, main_thread_only=key == "main") for key in ("a", "b", "main", "c")}
    run_at_once(jobs)
    assert there[0] >= {"store-a", "store-b", "store-c"}


def test_a_hanging_job_costs_only_itself(gate: threading.Event) -> None:
    jobs: dict[str, Job[object]] = {"hangs": Job("vault (x)", gate.wait, 0.02), "works": Job("b", lambda: 1, 5)}
    done = run_at_once(jobs)
    error = done["hangs"].error
    assert isinstance(error, StoreUnreachable)
    assert "vault (x): no answer within 0.02 s; it is unknown whether the call arrived" in str(error)
    assert done["works"].value == 1


def test_each_job_has_a_bound_of_its_own(gate: threading.Event) -> None:
    """The one with the longer bound is still waited for after the shorter one was given up."""
    late = threading.Event()

    def works() -> int:
        late.wait(0.1)
        return 1

    jobs: dict[str, Job[object]] = {"long": Job("long", works, 5), "short": Job("short", gate.wait, 0.01)}
    done = run_at_once(jobs)
    assert done["long"].value == 1
    assert done["short"].error is not None


def test_a_job_that_ends_after_it_was_given_up_is_not_looked_at() -> None:
    """The late end of one job must not be taken for another's, whichever comes first by order or by name."""
    given_up, late_ended = threading.Event(), threading.Event()

    def late() -> str:
        given_up.wait(5)
        late_ended.set()
        return "late"

    def other() -> str:
        time.sleep(0.05)  # until the late one was given up
        given_up.set()
        late_ended.wait(5)
        time.sleep(0.01)
        return "other"

    done = run_at_once({"a": Job("other", other, 5), "b": Job("late", late, 0.01)})
    assert isinstance(done["b"].error, StoreUnreachable)
    assert done["a"].value == "other"


def test_what_ended_during_a_long_main_thread_job_counts() -> None:
    """The main thread was busy beyond the thread's bound, which is not the thread's fault."""
    ended = threading.Event()

    def quick() -> str:
        ended.set()
        return "quick"

    def slow() -> str:
        ended.wait(5)
        time.sleep(0.05)
        return "slow"

    done = run_at_once({"slow": Job("slow", slow, 5, main_thread_only=True), "quick": Job("quick", quick, 0.02)})
    assert [one.value for one in done.values()] == ["slow", "quick"]


@pytest.mark.parametrize("error", [StoreRefused("a", "no"), SettingsInvalid("conn", "no host")])
@pytest.mark.parametrize("main_thread_only", [True, False])
def test_errors_of_ours_are_results(error: Exception, main_thread_only: bool) -> None:
    job = Job("a", raising(error).run, 5, main_thread_only)
    assert run_at_once({"a": job})["a"].error is error


@pytest.mark.parametrize("main_thread_only", [True, False])
def test_a_foreign_error_is_named_by_type_and_place_without_its_text(main_thread_only: bool) -> None:
    """A client library's text may quote the value."""
    job = Job("vault (x)", raising(KeyError("whsec_leak")).run, 5, main_thread_only)
    error = run_at_once({"a": job})["a"].error
    assert isinstance(error, StoreError)
    assert str(error).startswith(f"store vault (x): unexpected KeyError at {__file__}:")
    assert "whsec_leak" not in f"{error} {error!r}"


def test_an_error_raised_in_c_code_is_placed_where_it_was_called() -> None:
    done = run_at_once({"a": Job("a", lambda: int("whsec_leak"), 5)})
    assert f"unexpected ValueError at {__file__}:" in str(done["a"].error)


def test_an_error_without_a_frame_of_its_own_is_still_named() -> None:
    done = run_at_once({"a": Job("a", lambda: next(iter(())), 5)})
    assert "StopIteration" in str(done["a"].error)


def test_guarded_work_gives_its_value_and_its_own_errors() -> None:
    refused = StoreRefused("a", "no")
    assert run_here("a", lambda: 7) == 7
    with pytest.raises(StoreRefused) as caught:
        run_here("a", raising(refused).run)
    assert caught.value is refused


def test_guarded_work_names_a_foreign_error_without_its_text() -> None:
    """Neither the message nor the traceback shows what a vendor's client quotes."""
    with pytest.raises(StoreError) as caught:
        run_here("file (file:///a)", lambda: {}["whsec_leak"])
    assert "store file (file:///a): unexpected KeyError at" in str(caught.value)
    assert "whsec_leak" not in "".join(traceback.format_exception(caught.value)).replace('{}["whsec_leak"]', "")
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_the_end_of_the_task_is_not_a_stores_failure() -> None:
    """Airflow ends a task by an exception on the main thread that is no Exception: it has to get through."""
    job = Job("a", raising(KeyboardInterrupt()).run, 5, main_thread_only=True)
    with pytest.raises(KeyboardInterrupt):
        run_at_once({"a": job})


def test_threads_do_not_keep_the_process_alive(gate: threading.Event) -> None:
    run_at_once({"hangs": Job("hangs", gate.wait, 0.01)})
    (thread,) = [one for one in threading.enumerate() if one.name == "store-hangs"]
    assert thread.daemon
