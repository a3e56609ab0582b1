"""What the person at this screen has done about alerts: seen this one, quiet about that kind for an hour.

It is a matter of this person and not of the run: the record keeps every alert as it was said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from monitor.model import Alert, Snapshot

MUTE_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Attention:
    """``seen`` are the ids of alerts that were acknowledged; ``muted`` until when a rule is quiet, Unix seconds."""

    seen: frozenset[int] = frozenset()
    muted: Mapping[str, float] = field(default_factory=dict)

    def acknowledge(self, alert: Alert) -> Attention:
        """See this alert, or see it no longer."""
        return replace(self, seen=self.seen ^ {alert.id})

    def mute(self, rule: str, now_s: float) -> Attention:
        """Quiet about this kind for an hour, or no longer quiet."""
        others = {name: until for name, until in self.muted.items() if until > now_s and name != rule}
        return replace(self, muted=others if self.muted.get(rule, 0.0) > now_s else {**others, rule: now_s + MUTE_S})


def attended(snapshot: Snapshot, attention: Attention, now_s: float) -> Snapshot:
    """The snapshot with its alerts as this person sees them."""
    muted = {rule for rule, until in attention.muted.items() if until > now_s}
    if not (attention.seen or muted) or not snapshot.alerts:
        return snapshot
    return replace(
        snapshot,
        alerts=tuple(
            msgspec.structs.replace(
                alert,
                acknowledged=alert.acknowledged or alert.id in attention.seen,
                muted=alert.muted or alert.rule in muted,
            )
            for alert in snapshot.alerts
        ),
    )
