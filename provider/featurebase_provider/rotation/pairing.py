"""Makes the second half of a pair: one paused webhook that delivers the same as a given one.

Featurebase makes every webhook active, with at least one topic. So the second one is made with a single, rarely used
topic, and one further call pauses it and gives it all topics. A mark in its description lets a later call find what an
earlier one left unfinished. Nothing is deleted but what the same call made.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from featurebase_provider.featurebase.errors import ApiError, WebhookNotFound
from featurebase_provider.featurebase.models import ACTIVE, PAUSED
from featurebase_provider.rotation.clock import SYSTEM_CLOCK, Clock
from featurebase_provider.rotation.errors import PairingRefused, PairingUnfinished
from featurebase_provider.rotation.find import ListsWebhooks
from featurebase_provider.rotation.pair import Pair, differences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from typing_extensions import Unpack

    from featurebase_provider.featurebase.calls import WebhookChanges, WebhookOptions
    from featurebase_provider.featurebase.models import DeletedWebhook, Webhook

FIRST_TOPIC = "conversation_part.redacted"
"""The topic with which the second webhook is made: it happens when somebody redacts a part of a conversation."""

DEFAULT_SLOTS = 10
"""How many webhooks a workspace may have, unless Featurebase raised its limit."""

_MARK = re.compile(r"second half of webhook ([0-9a-f]{24}), made by airflow-provider-featurebase", re.IGNORECASE)
_UNFINISHED = "not finished"
_LONGEST_NAME = 100
_FIRST_PAUSE, _LAST_PAUSE = 0.5, 5.0
_SHOWN_SECONDS = 10.0
"""How long Featurebase may take to show what it has answered to a PATCH."""


class MakesWebhooks(ListsWebhooks, Protocol):
    """The part of the Featurebase client that makes a webhook."""

    def create_webhook(self, name: str, url: str, topics: Sequence[str], **options: Unpack[WebhookOptions]) -> Webhook:
        """Make an active webhook."""

    def update_webhook(self, webhook_id: str, **changes: Unpack[WebhookChanges]) -> Webhook:
        """Change these fields of a webhook."""

    def delete_webhook(self, webhook_id: str) -> DeletedWebhook:
        """Delete a webhook for good."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What Featurebase has before a second half is made.

    :param original: the webhook that is to become the first half.
    :param second: the second half, if an earlier call made one.
    :param count: how many webhooks the workspace has.
    :param same_url: ids of further webhooks with the same url.
    """

    original: Webhook
    second: Webhook | None
    count: int
    same_url: tuple[str, ...] = ()

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing to make: the second half has all topics, and was paused."""
        return self.second is not None and _is_finished(self.second)


def survey(api: ListsWebhooks, original: Webhook) -> Survey:
    """Look at what Featurebase has; nothing is changed.

    :param original: the webhook, as Featurebase shows it now.
    :raises PairingRefused: the webhook can't become the first half of a pair.
    :raises ApiError: Featurebase could not be read.
    """
    first = _original_of(original)
    if first is not None:
        raise PairingRefused(
            original.id,
            f"it was itself made as the second half of webhook {first}; nothing was changed. Name both in the rotation "
            f"file: webhook_ids: [{first}, {original.id}]",
        )
    webhooks = list(api.list_webhooks())
    marked = _second_halves(webhooks, original.id)
    if len(marked) > 1:
        raise PairingRefused(
            original.id,
            f"it has {len(marked)} second halves ({', '.join(half.id for half in marked)}), as a call that was lost on "
            "the way can make one later; nothing was changed. Delete all but one of them in Featurebase",
        )
    second = api.get_webhook(marked[0].id) if marked else None
    others = [webhook for webhook in webhooks if webhook.id not in (original.id, second.id if second else None)]
    found = Survey(original, second, len(webhooks), tuple(half.id for half in others if half.url == original.url))
    if not found.is_finished:
        _check_original(original, others if second is None else ())
    return found


def _check_original(original: Webhook, others: Sequence[Webhook]) -> None:
    if original.status != ACTIVE:
        raise PairingRefused(
            original.id,
            f"it is {original.status!r}, and a pair needs one webhook that delivers; nothing was changed. Set it "
            "active in Featurebase first",
        )
    unread = [name for name in original.unread if name.partition(".")[0] in {"url", "topics", "requestConfig"}]
    if unread or not original.url or not original.topics:
        what = ", ".join(unread) or ("url" if not original.url else "topics")
        raise PairingRefused(
            original.id, f"Featurebase's answer shows no usable {what}, so it can't be copied; nothing was changed"
        )
    for other in others:
        if other.status == PAUSED and not differences(Pair.of((original.id, other.id), (original, other))):
            raise PairingRefused(
                original.id,
                f"webhook {other.id} is paused and delivers the same already; nothing was changed. Make it the second "
                f"half (webhook_ids: [{original.id}, {other.id}] in the rotation file), or delete it in Featurebase",
            )


def second_name(original: Webhook) -> str:
    """The name of the second half; not the original's, so that either can still be found by its name."""
    suffix = " (second half)"
    return f"{original.name[: _LONGEST_NAME - len(suffix)]}{suffix}".strip()


def _mark(webhook_id: str) -> str:
    return f"Second half of webhook {webhook_id}, made by airflow-provider-featurebase"


def _original_of(webhook: Webhook) -> str | None:
    """The id of the webhook whose second half this one is, if it has a mark."""
    found = _MARK.search(webhook.description or "")
    return found[1].lower() if found else None


def _second_halves(webhooks: Sequence[Webhook], original_id: str) -> list[Webhook]:
    return [webhook for webhook in webhooks if _original_of(webhook) == original_id.lower()]


def _is_finished(second: Webhook) -> bool:
    return f"({_UNFINISHED}" not in (second.description or "")


@dataclass(frozen=True)
class Pairing:
    """Makes the second half, or finishes it.

    :param topic: the topic with which it is made.
    :param grace: seconds to look for a webhook whose creation was not answered, and to go on with pausing it.
    :param say: takes a sentence about each step.
    :param token: tells what this call makes from what another one makes at the same time.
    """

    api: MakesWebhooks
    topic: str = FIRST_TOPIC
    grace: float = 60.0
    clock: Clock = SYSTEM_CLOCK
    say: Callable[[str], None] = field(default=lambda text: None)
    token: str = field(default_factory=lambda: secrets.token_hex(4))

    def make(self, found: Survey) -> Webhook:
        """Make the second half, or finish the one that an earlier call left, and compare both.

        :param found: what :func:`survey` returned.
        :returns: the second half.
        :raises PairingRefused: Featurebase refused; nothing is left.
        :raises PairingUnfinished: something is, or may be, left; the message says what. The same call again goes on.
        :raises ApiError: Featurebase could not be read; its ``state`` says what was made.
        """
        original = found.original
        second = found.second or self._create(original)
        try:
            if found.second is None:
                self.say(f"made webhook {second.id}, for the topic {self.topic} alone")
                self._finish(original, second, ours=True)
                self._check_only_one(original, second)
            elif not found.is_finished:
                self.say(f"webhook {second.id} is unfinished: an earlier call made it")
                self._finish(original, second, ours=False)
            return self._compared(original, second)
        except ApiError as exc:
            exc.state = f"Webhook {second.id} is the second half; run the command again, which goes on"
            raise

    def _create(self, original: Webhook) -> Webhook:
        config = original.request_config
        try:
            return self.api.create_webhook(
                second_name(original),
                original.url,
                [self.topic],
                description=f"{_mark(original.id)} ({_UNFINISHED}: run featurebase pair-webhook again; {self.token})",
                timeout_ms=config.timeout_ms,
                headers={name: value.get_secret_value() for name, value in config.headers.items()},
            )
        except ApiError as exc:
            problem = exc
        if problem.outcome_known:
            raise PairingRefused(
                original.id, f"no second webhook was made: {problem.summary}. {_slots_advice(problem)}"
            )
        self.say(f"{problem.summary}; looking whether the webhook was made")
        return self._found_by_token(original, problem)

    def _found_by_token(self, original: Webhook, problem: ApiError) -> Webhook:
        """The webhook that this call has made, though Featurebase did not say so."""
        unread: ApiError | None = None
        for _ in self._pauses(self.grace):
            try:
                made = [half for half in self.api.list_webhooks() if self.token in (half.description or "")]
            except ApiError as exc:
                unread = exc
                if not exc.retry_helps:
                    break
                continue
            if made:
                return made[0]
            unread = None
        seen = f"the webhooks can't be read: {unread.summary}" if unread is not None else "none appeared"
        raise PairingUnfinished(
            original.id,
            f"{problem.summary}, and it is unknown whether a second webhook was made: in {self.grace:.0f} s {seen}. If "
            f"it was, it is active for the topic {self.topic} alone, and the receiver refuses its deliveries. Run the "
            "command again in some minutes: it looks for that webhook first",
        )

    def _finish(self, original: Webhook, second: Webhook, *, ours: bool) -> None:
        """Pause it, and give it all topics; sent again until Featurebase answers, which changes nothing more.

        :param ours: whether this call made it, so that it may be deleted.
        """
        problem = ""
        for _ in self._pauses(self.grace):
            try:
                shown = self.api.update_webhook(
                    second.id,
                    status="paused",
                    topics=original.topics,
                    description=f"{_mark(original.id)}. Do not edit: this text keeps a third one from being made",
                )
            except ApiError as exc:
                problem = exc.summary
                if exc.outcome_known and not exc.retry_helps:
                    break
                continue
            if shown.status == PAUSED:
                self.say(f"paused webhook {second.id}, and gave it all topics of {original.id}")
                return
            problem = f"Featurebase answered that it is {shown.status!r}"
        left = self._delete(second) if ours else "It is left as it was"
        if not left:
            raise PairingRefused(
                original.id, f"the second webhook could not be paused ({problem}), so it was deleted. Nothing is left"
            )
        raise PairingUnfinished(
            original.id,
            f"the second webhook {second.id} could not be paused ({problem}). {left}. It may still be active, for the "
            f"topic {self.topic} alone. Run the command again, or delete that webhook in Featurebase",
        )

    def _delete(self, second: Webhook) -> str:
        """Delete what this call made; return what is left, or an empty text."""
        try:
            self.api.delete_webhook(second.id)
        except WebhookNotFound:
            return ""
        except ApiError as exc:
            return f"It could not be deleted either: {exc.summary}"
        return ""

    def _check_only_one(self, original: Webhook, second: Webhook) -> None:
        """Take back what this call made if another call has made a second half too."""
        others = [
            half.id for half in _second_halves(list(self.api.list_webhooks()), original.id) if half.id != second.id
        ]
        if others:
            left = self._delete(second) or f"{second.id}, which this call made, was deleted"
            raise PairingUnfinished(
                original.id,
                f"another call has made a second webhook at the same time: {', '.join(others)}. {left}. Run the "
                "command again, which finishes the other one",
            )

    def _compared(self, original: Webhook, second: Webhook) -> Webhook:
        """The second half, once Featurebase shows a pair: equal settings, one active and one paused."""
        ids = (original.id, second.id)
        wrong = ""
        for _ in self._pauses(_SHOWN_SECONDS):
            pair = Pair.of(ids, [self.api.get_webhook(webhook_id) for webhook_id in ids])
            different = differences(pair)
            wrong = f"they differ in {', '.join(different)}" if different else ""
            if pair.live is None or any(half.status not in (ACTIVE, PAUSED) for half in pair.webhooks):
                shown = " and ".join(f"{half.id} is {half.status!r}" for half in pair.webhooks)
                wrong = f"{wrong}; {shown}".lstrip("; ")
            if not wrong:
                return pair.shown[second.id.lower()]
        raise PairingUnfinished(
            original.id,
            f"webhook {second.id} is its second half, but {wrong}. In Featurebase, make both equal, one active and one "
            "paused. Then run the command again, which compares them",
        )

    def _pauses(self, seconds: float) -> Iterator[None]:
        """Come again and again, with pauses between, until this time is over; twice at least."""
        deadline = self.clock.monotonic() + seconds
        pause = _FIRST_PAUSE
        yield
        while True:
            left = deadline - self.clock.monotonic()
            self.clock.sleep(max(0.0, min(pause, left)))
            yield
            if left <= pause:
                return
            pause = min(pause * 2, _LAST_PAUSE)


def _slots_advice(problem: ApiError) -> str:
    if problem.status == 400:
        return (
            f"A pair takes two webhooks of the workspace's limit, which is {DEFAULT_SLOTS} by default. Delete one that "
            "nobody needs, or have Featurebase raise the limit, if that is what the message says"
        )
    return problem.to_do or "Run the command again"
