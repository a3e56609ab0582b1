"""A command to a run, from ``bedside do`` or the screen, and what became of it."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence

from monitor import actions
from monitor.actions import NoAnswer
from monitor.feeds import close
from monitor.feeds.line import Curve
from monitor.model import Action
from monitor.record import registry
from monitor.remote import RemoteError
from monitor.remote.reach import SCHEMES, reach
from monitor.tail import printable
from monitor.words import WordsError, meant
from probe import wire

REFUSED, USAGE = 1, 2


def do(
    target: str,
    what: str,
    words: Sequence[str],
    *,
    group: str | None = None,
    checkpoint: bool | None = None,
    wait_s: float = actions.ANSWER_S,
    as_json: bool = False,
) -> int:
    """Give a command, wait until it is applied or refused, and print what was. Returns the exit status."""
    try:
        action = meant(what, words, group=group, checkpoint=checkpoint)
        with _run(target) as (run_id, address, curve):
            if not address:
                return _complain(f"{target} is not running", REFUSED)
            ack = actions.give(address, actions.command(run_id, action), curve=curve, answer_s=wait_s)
    except (WordsError, registry.RunError, RemoteError) as error:
        return _complain(str(error), USAGE)
    except NoAnswer as error:
        return _complain(str(error), REFUSED)
    if as_json:
        print(json.dumps({"ok": ack.ok, "text": ack.text, "step": ack.step, "applied": ack.applied}))
    elif ack.ok:
        print(printable(ack.text))
    else:
        _complain(f"refused: {ack.text}", REFUSED)
    return 0 if ack.ok else REFUSED


@contextlib.contextmanager
def _run(target: str) -> Iterator[tuple[str, str, Curve | None]]:
    """The run's id, and where its commands go (nowhere if it is not running) and with which keys."""
    if target.startswith(SCHEMES):
        far = reach(target)
        try:
            yield far.run_id, far.ask, far.curve
        finally:
            close(far.feed)
    else:
        entry = registry.find(target)
        yield entry.run_id, _ask(entry.live) if entry.live else "", None


def _ask(run: registry.LiveRun) -> str:
    """Where its commands go. Raises NoAnswer if they cannot get there."""
    if run.is_out_of_reach:
        place, hint = run.whereabouts
        raise NoAnswer(f"{run.name} runs {place}, and nothing was sent: {hint}")
    return run.ask


def act(run_id: str, action: Action) -> wire.Ack:
    """The same for the screen: the answer, or a refusal that says why there is none."""
    try:
        run = registry.find(run_id).live
        if run is None:
            return wire.Ack(id="", ok=False, text="the run is over")
        return actions.give(_ask(run), actions.command(run.run_id, action))
    except (NoAnswer, registry.RunError, OSError) as error:
        return wire.Ack(id="", ok=False, text=str(error))


def _complain(text: str, status: int) -> int:
    print(f"bedside do: {printable(text)}", file=sys.stderr)
    return status
