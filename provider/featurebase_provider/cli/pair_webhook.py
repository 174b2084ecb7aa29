"""``featurebase pair-webhook``: makes the second half of a pair for a single webhook of the rotation file, once."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from featurebase_provider.cli.check_stores import WRONG_USE, chosen
from featurebase_provider.featurebase.errors import FeaturebaseError
from featurebase_provider.featurebase.text import one_line
from featurebase_provider.rotation.errors import PairingRefused

if TYPE_CHECKING:
    import argparse

    from featurebase_provider.config.models import WebhookConfig
    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.rotation.pairing import Survey

NOT_PAIRED = 1

_NOT_OF_PAIRS = ("reactivate", "allow_inactive")

_SOME_ID = "0" * 24  # stands for the second webhook while there is none

PLAN = """\
Entry {name}: webhook {id} {shown}, which delivers to {host}; topics: {topics}.
With --apply this is done; nothing was changed now:
  1. POST: a webhook named {second_name}, with the same url, timeout and request headers ({headers}).
     Featurebase makes it active. So it gets one topic for a start, {topic}.
  2. PATCH: it is paused, and gets all topics of {id}.
  3. Both webhooks are read and compared.
Until step 2, a moment later, the new webhook also sends each event of {topic}. The receiver
does not know its secret and refuses it. {original_delivers}
Check first:
  - The receiver accepts two secrets. It will get deliveries that are signed with either.
  - The receiver ignores an event that it has had: while the traffic moves, each event comes from both webhooks.
  - The receiver does not depend on webhookId in the body, which is the id of the webhook that sent the event.
  - {slots}.
"""

UNFINISHED = """\
Entry {name}: webhook {id} has a second one, {second}, which an earlier call left unfinished.
With --apply it is paused, gets all topics of {id}, and is compared; nothing was changed now.
"""

ENTRY = """\
Write this in the entry {name} of {path}, in place of {replaced}:
{lines}
Then:
  1. Check the file: featurebase validate {path}
  2. Trigger the Dag {dag_id} with mode=dry_run, which changes nothing.
     It checks both webhooks, the stores and the receiver.
  3. Run it for the first time when somebody can watch it.
To go back:
  1. See that {id} is active. If {second} is, trigger the Dag with mode=revert.
  2. Write webhook_id: {id} again, without strategy and webhook_ids. Trigger the Dag with mode=distribute.
  3. Delete webhook {second} in Featurebase. No command and no run deletes it.
"""


class NotReady(FeaturebaseError):
    """The entry can't be a pair as it is.

    :param name: the entry.
    :param problems: what must be changed first.
    """

    retry_helps = False

    def __init__(self, name: str, problems: tuple[str, ...]) -> None:
        super().__init__(name, problems)
        self.name, self.problems = name, problems

    def __str__(self) -> str:
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        return (
            f"the entry {self.name} can't be a pair yet; nothing was changed. Change this in the rotation file first:\n"
            f"{lines}"
        )


def run(arguments: argparse.Namespace) -> None:
    """Show what would be done, or do it, and end with the exit status that the command promises.

    :param arguments: ``name`` (the entry), ``apply`` (False only shows) and ``topic`` (or None).
    :raises SystemExit: 1 it can't be done, or is unfinished; 2 the rotation file has errors, or has no such entry.
    """
    from featurebase_provider.cli.printing import quiet_logs

    with quiet_logs():
        try:
            file = chosen([arguments.name])
        except FeaturebaseError as exc:
            sys.stderr.write(f"{exc}\n")
            raise SystemExit(WRONG_USE) from None
        try:
            _pair(file.webhooks[0], file.path, apply=arguments.apply, topic=arguments.topic)
        except FeaturebaseError as exc:
            sys.stderr.write(f"{exc}\n")
            raise SystemExit(NOT_PAIRED) from None


def _pair(config: WebhookConfig, path: str, *, apply: bool, topic: str | None) -> None:
    from featurebase_provider.cli.read_only_airflow import read_only_airflow
    from featurebase_provider.hooks.featurebase import FeaturebaseHook
    from featurebase_provider.rotation.find import find_webhook
    from featurebase_provider.rotation.pairing import DEFAULT_SLOTS, FIRST_TOPIC, Pairing, survey

    if config.webhook_ids is not None:
        raise PairingRefused(
            config.name, f"the entry names a pair already ({', '.join(config.webhook_ids)}); nothing was changed"
        )
    problems = _problems_as_pair(config)
    if problems:
        raise NotReady(config.name, problems)
    with read_only_airflow():
        client = FeaturebaseHook(config.featurebase_conn_id).get_conn()
    with client:
        found = survey(client, find_webhook(client, config.webhook_id or "", config.webhook_name))
        topic = topic or FIRST_TOPIC
        if not apply and not found.is_finished:
            _say(_plan(config, found, topic))
            if found.second is None and found.count >= DEFAULT_SLOTS:
                raise PairingRefused(found.original.id, f"{_slots(found)}. --apply asks Featurebase all the same")
            return
        grace = config.refresh_grace.total_seconds()
        second = Pairing(client, topic=topic, grace=grace, say=_say).make(found)
    _say(f"Webhook {second.id}, {second.status}, is the second half of {found.original.id}.")
    _say(_entry(config, path, found.original, second))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _problems_as_pair(config: WebhookConfig) -> tuple[str, ...]:
    """What the rotation file's own checks say of the entry as a pair."""
    from pydantic import ValidationError

    from featurebase_provider.config.errors import field_name
    from featurebase_provider.config.explain import details_of
    from featurebase_provider.config.models import WebhookConfig

    kept = config.model_fields_set - {"webhook_id", "webhook_name", *_NOT_OF_PAIRS}
    values: dict[str, Any] = {name: getattr(config, name) for name in kept}
    values |= {"strategy": "overlap", "webhook_ids": [_SOME_ID, _SOME_ID[:-1] + "1"], "probe": config.probe or True}
    try:
        WebhookConfig.model_validate(values)
    except ValidationError as exc:
        return tuple(f"{field_name(detail['loc'])}: {detail['msg']}" for detail in details_of(exc))
    return ()


def _plan(config: WebhookConfig, found: Survey, topic: str) -> str:
    from featurebase_provider.rotation.destination import shown_host
    from featurebase_provider.rotation.pairing import second_name

    original = found.original
    if found.second is not None:
        return UNFINISHED.format(name=config.name, id=original.id, second=found.second.id)
    plan = PLAN.format(
        name=config.name,
        id=original.id,
        shown=one_line(original.name),
        topics=len(original.topics),
        host=shown_host(original),
        second_name=repr(one_line(second_name(original))),
        headers=", ".join(one_line(name) for name in original.request_config.headers) or "none",
        topic=topic,
        original_delivers=(
            "The first webhook sends it as well, so nothing is lost."
            if topic in original.topics
            else "The first webhook does not subscribe to that topic."
        ),
        slots=_slots(found),
    )
    also = ", ".join(found.same_url)
    return f"{plan}  - Webhooks with the same url exist already: {also}.\n" if also else plan


def _slots(found: Survey) -> str:
    from featurebase_provider.rotation.pairing import DEFAULT_SLOTS

    left = max(DEFAULT_SLOTS - found.count, 0)
    return f"Webhooks that can still be made: {left} of the {DEFAULT_SLOTS} that Featurebase allows by default"


def _entry(config: WebhookConfig, path: str, original: Webhook, second: Webhook) -> str:
    lines = ["strategy: overlap", f"webhook_ids: [{original.id}, {second.id}]"]
    if config.probe is None:
        lines.append("probe: {timeout: PT10M}")
    wrong = [name for name in _NOT_OF_PAIRS if getattr(config, name)]
    lines += [f"{name}: false" for name in wrong]
    return ENTRY.format(
        name=config.name,
        path=path,
        replaced=", ".join(["webhook_id" if config.webhook_id else "webhook_name", *wrong]),
        lines="\n".join(f"    {line}" for line in lines),
        dag_id=config.dag_id,
        id=original.id,
        second=second.id,
    )
