"""What a person may do to the run that is shown, and what it would do to its numbers: functions of a snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from monitor.app import format as fmt
from monitor.model import Action, Alert, Link, Mark, Snapshot

READ_ONLY: Final = "this monitor only looks (--read-only)"
#: Steps of more detail that the menu asks for.
DETAIL_STEPS: Final = 100
#: The most that a learning rate is multiplied by.
MAX_FACTOR: Final = 100.0


class Rate(NamedTuple):
    """The learning rate of a group: what the schedule says, what is used; why they differ: ``x0.5``, ``pinned``."""

    group: str
    schedule: float
    effective: float
    setting: str = ""

    def under(self, args: dict[str, Any]) -> float:
        """What would be used with these arguments of ``lr``."""
        return float(args["pin"]) if args.get("pin") is not None else self.schedule * float(args["factor"])


def refusal(snapshot: Snapshot) -> str:
    """Why nothing can be done to this run; empty if something can."""
    if snapshot.hello is None:
        return "no run to intervene in yet"
    if snapshot.state.is_over or snapshot.link is Link.FILE:
        return "the run is over"
    if not snapshot.hello.control:
        return "this run takes no commands (control=False)"
    return ""


def rates(snapshot: Snapshot) -> list[Rate]:
    """The learning rate of each group, in their order."""
    groups = snapshot.hello.groups if snapshot.hello else []
    found = (_rate(snapshot, group.name) for group in groups)
    return [rate for rate in found if rate is not None]


def _rate(snapshot: Snapshot, group: str) -> Rate | None:
    used, told = snapshot.series.get(f"lr/{group}"), _told(snapshot, group)
    mark, values = told if told is not None else (None, {})
    setting = _setting(values)
    if mark is not None and (used is None or not len(used) or mark.step >= used.last_step):
        return Rate(group, values["schedule"], values["effective"], setting)
    if used is None or not len(used):
        return None
    schedule = snapshot.series.get(f"lr_schedule/{group}")
    if schedule is None or not len(schedule) or schedule.last_step != used.last_step:
        return Rate(group, used.last, used.last)
    if not setting:  # in force since before the record began: a run that goes on from a checkpoint
        setting = _times(used.last / schedule.last) if schedule.last else "pinned"
    return Rate(group, schedule.last, used.last, setting)


def _told(snapshot: Snapshot, group: str) -> tuple[Mark, dict[str, Any]] | None:
    """The newest mark that says what the learning rate of a group is."""
    for mark in reversed(snapshot.marks):
        values = mark.applied.get("groups", {}).get(group) if mark.command in ("lr", "undo") else None
        if values is not None:
            return mark, values
    return None


def _setting(values: dict[str, Any]) -> str:
    if values.get("pin") is not None:
        return "pinned"
    factor = values.get("factor")
    return _times(factor) if factor is not None and factor != 1 else ""


def _times(factor: float) -> str:
    return f"x{factor:.4g}"


def suggested(snapshot: Snapshot, alert: Alert | None) -> list[Action]:
    """What the alert suggests and this run takes, ready to be sent.

    A rule's factor is of what was used when it was said; a command's is of the schedule. So what is asked for twice
    is the same the second time.
    """
    if alert is None or not alert.is_open or snapshot.hello is None:
        return []
    offers = [offer for offer in alert.offers if offer.name in snapshot.hello.control]
    return [_of_schedule(snapshot, alert, offer) for offer in offers]


def _of_schedule(snapshot: Snapshot, alert: Alert, offer: Action) -> Action:
    if offer.name != "lr" or "factor" not in offer.args:
        return offer
    factor = offer.args["factor"] * _share_of_schedule(snapshot, alert.raised_step)
    return Action("lr", {**offer.args, "factor": float(f"{min(factor, MAX_FACTOR):.3g}")})


def _share_of_schedule(snapshot: Snapshot, step: int) -> float:
    """What the first group used at a step, as a share of what its schedule said."""
    group = next((rate.group for rate in rates(snapshot)), "")
    schedule = snapshot.series.get(f"lr_schedule/{group}")
    scheduled: list[float] = schedule.between(step, step)[1].tolist() if schedule is not None else []
    if not any(scheduled):
        return 1.0
    return float(snapshot.series[f"lr/{group}"].between(step, step)[1][0]) / scheduled[0]


def paused_by(snapshot: Snapshot) -> Mark | None:
    """Who holds the run."""
    return next((mark for mark in reversed(snapshot.marks) if mark.command == "pause"), None)


def to_undo(snapshot: Snapshot) -> Mark | None:
    """The intervention that an undo would take back."""
    stack: list[Mark] = []
    for mark in snapshot.marks:
        if mark.command in ("lr", "detail"):
            stack.append(mark)
        elif mark.command == "undo" and stack:
            stack.pop()
    return stack[-1] if stack else None


def checkpoint_of(snapshot: Snapshot) -> Mark | None:
    """The newest checkpoint that a command wrote."""
    return next((mark for mark in reversed(snapshot.marks) if mark.applied.get("path")), None)


# ------------------------------------------------------------------------------------------------------- in words


def title(action: Action) -> str:
    """A few words for a list: ``lr x0.3``."""
    args = action.args
    match action.name:
        case "lr":
            value = _times(args["factor"]) if args.get("factor") is not None else f"{args['pin']:.4g}"
            return f"lr {value}"
        case "stop" | "interrupt" if args.get("checkpoint") is False:
            return f"{action.name}, no checkpoint"
        case "detail":
            return f"detail for {args['steps']} steps"
    return action.name


def consequences(snapshot: Snapshot, action: Action) -> Iterator[str]:
    """What it will do to this run, with its numbers; a line each."""
    step = fmt.count(snapshot.step)
    match action.name:
        case "lr":
            yield from _of_rate(snapshot, action.args)
        case "checkpoint":
            yield f"Write a checkpoint at the next step (now {step}). The loop waits while it is written."
        case "pause":
            yield f"Hold the loop at the next step (now {step}) until somebody resumes it. It keeps its memory."
        case "resume":
            yield f"Let the loop go on after step {step}."
        case "stop":
            yield from _of_stop(snapshot, action.args, f"End the run at the next step (now {step}) with exit code 0.")
        case "interrupt":
            yield f"Raise KeyboardInterrupt in the loop at the next step (now {step}), as Ctrl-C does."
        case "detail":
            yield f"Statistics of every layer at each of the next {action.args['steps']} steps, whatever it costs."
        case "note":
            yield f"A mark at step {step}: {action.args['text']}"
        case "undo":
            mark = to_undo(snapshot)
            yield f"Take back what {mark.by or 'somebody'} did at step {fmt.count(mark.step)}:" if mark else ""
            yield mark.text if mark else "There is nothing to undo, as far as this monitor knows."


def _of_rate(snapshot: Snapshot, args: dict[str, Any]) -> Iterator[str]:
    for rate in rates(snapshot):
        if args.get("group") in (None, rate.group):
            how = _times(args["factor"]) if args.get("factor") is not None else "pinned"
            yield (
                f"group {rate.group}: schedule {rate.schedule:.4g}, {how}, "
                f"effective {rate.effective:.4g} → {rate.under(args):.4g}"
            )
    yield "From the next step on, until it is undone. Schedulers go on as before."


def _of_stop(snapshot: Snapshot, args: dict[str, Any], end: str) -> Iterator[str]:
    if args.get("checkpoint") is not False:
        yield f"Write a checkpoint first. {end}"
        return
    yield f"{end} No checkpoint is written."
    mark = checkpoint_of(snapshot)
    if mark is None:
        yield "Bedside has written none of this run."
    else:
        yield f"The last one is of step {fmt.count(mark.step)}: {mark.applied['path']}"
