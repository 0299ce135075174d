"""Traffic: what producers send, made of real webhooks; no two records are the same."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import cycle, islice

from batcher.tools.demo.events import START_S, Webhook, load_webhooks

SPAN_S = 3_000.0
"""From 06:40 on, so that records of two hours come together."""
KINDS = "abc"
SMALL_CHARACTERS = 860
"""Of a record that is some 1 KiB with what is around it."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Records in the order in which they were sent."""

    sent: tuple[Webhook, ...]
    bad: frozenset[str] = frozenset()
    """Texts that are no JSON."""

    @property
    def texts(self) -> list[str]:
        """Return all payloads."""
        return [webhook.text for webhook in self.sent]

    def poisoned(self) -> Traffic:
        """Return the same with one record cut in half, somewhere in the middle."""
        index = len(self.sent) // 2
        whole = self.sent[index]
        half = Webhook(whole.text[: len(whole.text) // 2], whole.arrived_s)
        sent = (*self.sent[:index], half, *self.sent[index + 1 :])
        return Traffic(sent, self.bad | {half.text})


def whole(records: int) -> Traffic:
    """Return whole webhooks, of some 10 KB."""
    made = load_webhooks()
    assert records <= len(made)
    return Traffic(tuple(made[:records]))


def small(records: int, span_s: float = SPAN_S) -> Traffic:
    """Return records of 1 KiB, each a piece of a webhook; their kinds take turns."""
    pieces = (
        webhook.text[start : start + SMALL_CHARACTERS]
        for webhook in cycle(load_webhooks(1))
        for start in range(0, len(webhook.text) - SMALL_CHARACTERS, SMALL_CHARACTERS)
    )
    sent = []
    for number, piece in enumerate(islice(pieces, records)):
        record = {"kind": KINDS[number % len(KINDS)], "number": number, "piece": piece}
        text = json.dumps(record, separators=(",", ":"))
        sent.append(Webhook(text, START_S + number * span_s / records))
    return Traffic(tuple(sent))
