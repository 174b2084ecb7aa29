"""What every store does, whatever is behind it. Cases are in ``conftest.CASES``."""

from __future__ import annotations

import threading
import traceback
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from featurebase_provider.featurebase.signing_secret import SigningSecret, fingerprint_of
from featurebase_provider.rotation.all_stores import arming
from featurebase_provider.rotation.check import check_stores
from featurebase_provider.rotation.distribute import distribute
from featurebase_provider.rotation.errors import StoreConflict, StoreError, StoreRefused, StoreUnreachable
from featurebase_provider.rotation.one_store import WriteRule
from featurebase_provider.rotation.store import SecretPair, StoreMark
from tests.contract.store_case import (
    ALL_VALUES,
    HELD,
    HELD_PREVIOUS,
    NEW,
    THEIRS,
    StoreCase,
    not_applicable,
    ready,
    write_to,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK = StoreMark("507f1f77bcf86cd799439011", fingerprint_of(NEW), "https://airflow.example.com/ops")


def pair(current: str, previous: str | None = None) -> SecretPair:
    return SecretPair(SigningSecret(current), SigningSecret(previous) if previous else None)


@contextmanager
def raises_quietly(kind: type[StoreError], name: str) -> Iterator[None]:
    """Expect exactly this kind of error, naming the store, with no value anywhere in what could be logged."""
    with pytest.raises(kind) as caught:
        yield
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(caught.value.args)
    assert not [value for value in ALL_VALUES if value in shown]
    assert name in str(caught.value)
    chain = caught.value.__cause__ or caught.value
    assert not [value for value in ALL_VALUES if value in str(chain)]


@contextmanager
def raises_saying(words: str, kind: type[StoreError], name: str) -> Iterator[None]:
    """Expect an error that says this, and shows no value."""
    with raises_quietly(kind, name):
        with pytest.raises(kind, match=words) as caught:
            yield
        raise caught.value


@contextmanager
def noting_who_asks_airflow() -> Iterator[set[threading.Thread]]:
    """The threads from which Airflow's SDK is called for a connection, a Variable, or to mask something."""
    from airflow.sdk.execution_time import supervisor, task_runner

    threads: set[threading.Thread] = set()
    channel = getattr(task_runner, "SUPERVISOR_COMMS", None)
    backends = supervisor.ensure_secrets_backend_loaded

    def send(*args: Any, **kwargs: Any) -> Any:
        threads.add(threading.current_thread())
        return channel.send(*args, **kwargs) if channel else None

    def loaded() -> Any:
        threads.add(threading.current_thread())
        return backends()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task_runner, "SUPERVISOR_COMMS", SimpleNamespace(send=send), raising=False)
        patch.setattr(supervisor, "ensure_secrets_backend_loaded", loaded)
        yield threads


def test_only_the_main_thread_asks_airflow(case: StoreCase) -> None:
    """Its answers can cross where several threads ask: whatever is needed of Airflow is there once a store is armed."""
    case.put(HELD)
    config = case.config(adopt=True)
    rule = WriteRule(MARK.webhook_id, "here")
    with noting_who_asks_airflow() as threads:
        (checked,) = check_stores([config], rule, current=None)
        with arming([config]) as armed:
            (outcome,) = distribute(armed, SigningSecret(NEW), rule, since=None).values()
    assert (checked.problem, outcome.result) == (None, "written")
    assert threads == ({threading.main_thread()} if case.asks_airflow else set())


def test_a_dead_server_keeps_no_other_store_waiting(case: StoreCase) -> None:
    """Not even one of the same type: nothing that they share is held while one of them waits for an answer."""
    case.put(HELD)
    with case.dead() as (config, wait):
        dead, well = config.arm(), case.config().arm()

        def fail() -> None:
            with suppress(StoreError):
                dead.connect()
                dead.read()

        def succeed() -> None:
            well.connect()
            well.read()
            done.set()

        done = threading.Event()
        stuck = threading.Thread(target=fail, daemon=True)
        stuck.start()
        wait()
        threading.Thread(target=succeed, daemon=True).start()
        assert done.wait(120)
        assert stuck.is_alive()
    stuck.join(60)
    for one in (dead, well):
        one.close()


def test_arming_and_closing_leave_no_trace(case: StoreCase) -> None:
    """Arming changes nothing, and a store can be closed twice, connected or not."""
    case.put(HELD)
    before = case.evidence()
    for armed in (case.config().arm(), ready(case.config())):
        armed.close()
        armed.close()
    assert case.evidence() == before


def test_reads_what_somebody_else_put(case: StoreCase) -> None:
    """A store reads the current value, and the previous one if it keeps such; or it says that it cannot."""
    case.put(HELD, HELD_PREVIOUS if case.keeps_previous else None)
    held = ready(case.config()).read()
    assert held.readable is case.config().readable is case.reads_back
    assert held.current == (SigningSecret(HELD) if case.reads_back else None)
    assert held.previous == (SigningSecret(HELD_PREVIOUS) if case.keeps_previous else None)
    assert held.mark is None


def test_nothing_there_is_an_answer(case: StoreCase) -> None:
    """Absent reads as no secret, not as an error."""
    held = ready(case.config()).read()
    assert held.current is None
    assert held.previous is None


def test_readers_do_not_notice_the_writability_proof(case: StoreCase) -> None:
    """Proving that a store can be written leaves content, versions, times and neighbours as they were."""
    case.put(HELD)
    before = case.evidence()
    proof = ready(case.config()).prove_writable()
    assert case.evidence() == before
    assert proof.proven is case.proves_writability
    assert proof.detail


def test_readers_do_not_notice_the_proof_for_an_absent_value(case: StoreCase) -> None:
    """The same where the value is still to be created."""
    changes = {} if case.creates_without_asking else {"create": True}
    before = case.evidence()
    ready(case.config(**changes)).prove_writable()
    assert case.evidence() == before


def test_writes_and_reads_back(case: StoreCase) -> None:
    """What is written is what the store and every reader shows, and everything around it stays."""
    case.put(HELD)
    before = case.seen()
    armed = ready(case.config())
    write_to(armed, pair(NEW), held=armed.read(), mark=MARK)
    if case.reads_back:
        assert armed.read().current == SigningSecret(NEW)
    after = case.seen()
    assert before is not None
    assert after is not None
    assert (after.current, after.previous, after.others) == (NEW, None, before.others)


def test_writes_again_with_a_fresh_read(case: StoreCase) -> None:
    """One armed store can write several times in a row."""
    case.put(HELD)
    armed = ready(case.config())
    for value in (NEW, THEIRS, NEW):
        write_to(armed, pair(value), held=armed.read(), mark=MARK)
        seen = case.seen()
        assert seen is not None
        assert seen.current == value


def test_creates_what_is_missing_if_asked(case: StoreCase) -> None:
    """An absent value is created, in a form that readers understand."""
    armed = ready(case.config(**({} if case.creates_without_asking else {"create": True})))
    held = armed.read()
    assert held.may_be_made
    write_to(armed, pair(NEW), held=held, mark=MARK)
    seen = case.seen()
    assert seen is not None
    assert seen.current == NEW


def test_creates_nothing_unasked(case: StoreCase) -> None:
    """Without ``create: true`` an absent file or object is refused, by the proof and by the write; reading says so."""
    if case.creates_without_asking:
        not_applicable("this store always creates")
    config = case.config()
    armed = ready(config)
    assert armed.read().may_be_made is not case.reads_back
    with raises_quietly(StoreRefused, config.full_name):
        armed.prove_writable()
    with raises_quietly(StoreRefused, config.full_name):
        write_to(armed, pair(NEW), held=armed.read(), mark=MARK)
    assert case.seen() is None


def test_keeps_the_previous_secret_in_the_same_write(case: StoreCase) -> None:
    """The previous secret is kept beside the current one where the store does so, and nowhere else."""
    case.put(HELD)
    config = case.config()
    assert config.keeps_previous is case.keeps_previous
    armed = ready(config)
    write_to(armed, pair(NEW, HELD), held=armed.read(), mark=MARK)
    seen = case.seen()
    assert seen is not None
    assert (seen.current, seen.previous) == (NEW, HELD if case.keeps_previous else None)


def test_drops_the_previous_secret(case: StoreCase) -> None:
    """Without a previous secret in the pair, the one that the store holds goes; everything else stays."""
    if not case.keeps_previous:
        not_applicable("this store keeps no previous secret")
    case.put(HELD, HELD_PREVIOUS)
    before = case.seen()
    armed = ready(case.config())
    write_to(armed, pair(HELD), held=armed.read(), mark=MARK)
    after = case.seen()
    assert before is not None
    assert after is not None
    assert (after.current, after.previous, after.others) == (HELD, None, before.others)


def test_writing_what_is_there_changes_nothing(case: StoreCase) -> None:
    """The same pair again is no write: no version, time or description moves."""
    if not case.reads_back:
        not_applicable("what is there cannot be told")
    previous = HELD_PREVIOUS if case.keeps_previous else None
    case.put(HELD, previous)
    armed = ready(case.config())
    before = case.evidence()
    write_to(armed, pair(HELD, previous), held=armed.read(), mark=MARK)
    assert case.evidence() == before


def test_another_writer_is_not_overwritten(case: StoreCase) -> None:
    """If somebody wrote since the read, nothing is written."""
    case.put(HELD)
    config = case.config()
    armed = ready(config)
    held = armed.read()
    case.put(THEIRS)
    before = case.evidence()
    with raises_quietly(StoreConflict, config.full_name):
        write_to(armed, pair(NEW, HELD), held=held, mark=MARK)
    assert case.evidence() == before


def test_another_creator_is_not_overwritten(case: StoreCase) -> None:
    """If somebody created since the read what was absent, nothing is written."""
    armed = ready(case.config(**({} if case.creates_without_asking else {"create": True})))
    held = armed.read()
    case.put(THEIRS)
    before = case.evidence()
    with pytest.raises(StoreConflict):
        write_to(armed, pair(NEW), held=held, mark=MARK)
    assert case.evidence() == before


def test_what_was_removed_is_not_brought_back(case: StoreCase) -> None:
    """If somebody removed the value since the read, it is not silently created again."""
    case.put(HELD)
    armed = ready(case.config())
    held = armed.read()
    case.remove()
    with pytest.raises((StoreConflict, StoreRefused)):
        write_to(armed, pair(NEW), held=held, mark=MARK)
    assert case.seen() is None


def test_missing_permission_is_refused(case: StoreCase) -> None:
    """Without the right to write, the proof says so beforehand, or the write does; readers see no change."""
    case.put(HELD)
    before = case.evidence()
    with case.writing_denied() as config:
        armed = ready(config)
        held = armed.read()
        if case.proves_writability:
            with raises_quietly(StoreRefused, config.full_name):
                armed.prove_writable()
        with raises_quietly(StoreRefused, config.full_name):
            write_to(armed, pair(NEW), held=held, mark=MARK)
    assert case.evidence() == before


def test_missing_place_is_refused(case: StoreCase) -> None:
    """A missing folder or bucket is an error even with ``create: true``, and never reads as "no secret"."""
    config = case.missing_place()
    with raises_quietly(StoreRefused, config.full_name):
        ready(config).read()
    with raises_quietly(StoreRefused, config.full_name):
        ready(config).prove_writable()


def test_another_type_is_refused(case: StoreCase) -> None:
    """What is no text where the secret belongs is neither read as a secret nor overwritten."""
    case.put_wrong_type()
    config = case.config()
    before = case.evidence()
    with raises_quietly(StoreRefused, config.full_name):
        ready(config).read()
    with raises_quietly(StoreRefused, config.full_name):
        ready(config).prove_writable()
    assert case.evidence() == before


def test_an_outage_is_never_an_absence(case: StoreCase) -> None:
    """If the server does not answer, that is what the error says."""
    case.put(HELD)
    with case.server_down() as config, raises_quietly(StoreUnreachable, config.full_name):
        ready(config).read()


def test_leaves_its_mark(case: StoreCase) -> None:
    """Where the store has metadata, it says which webhook the value belongs to, and from where it came."""
    if not case.has_mark:
        not_applicable("this store has no metadata that it can read")
    case.put(HELD)
    armed = ready(case.config())
    write_to(armed, pair(NEW), held=armed.read(), mark=MARK)
    assert armed.read().mark == MARK


def test_nothing_shows_a_value(case: StoreCase) -> None:
    """Configuration, armed store and what was read can be logged."""
    case.put(HELD)
    config = case.config()
    armed = ready(config)
    held = armed.read()
    shown = f"{config!r} {config!s} {armed!r} {armed.name} {held!r} {armed.prove_writable()!r}"
    assert not [value for value in ALL_VALUES if value in shown]


def test_configuration_names_store_and_target(case: StoreCase) -> None:
    """Label and target name the store, and equal configurations mean the same place."""
    config = case.config()
    assert config.label == config.type
    other = case.config(label="other_1")
    assert (other.target, other.previous_target) == (config.target, config.previous_target)
    assert ready(config).name == config.full_name == f"{config.label} ({config.target})"
    assert type(config).model_validate(config.model_dump()) == config
    assert type(config).model_json_schema()["additionalProperties"] is False


def test_configuration_names_the_place_of_the_previous_secret(case: StoreCase) -> None:
    """Where it lies is another place than the current secret's, and named as that would be if it lay there."""
    config = case.config()
    assert (config.previous_target is not None) is config.keeps_previous is case.keeps_previous
    assert config.previous_target != config.target
    if case.previous_as_current is not None:
        assert case.config(**case.previous_as_current).target == config.previous_target


@pytest.mark.parametrize(
    "change",
    [{"label": "Not allowed"}, {"timeout": 0}, {"timeout": "P1M"}, {"adopt": "maybe"}, {"unknown": 1}],
    ids=lambda change: next(iter(change)),
)
def test_configuration_refuses_nonsense(case: StoreCase, change: dict[str, object]) -> None:
    """Every store refuses labels, timeouts and fields that cannot be."""
    with pytest.raises(ValidationError):
        case.config(**change)
