"""Intervening from the screen: what is offered, what is asked, what is sent, and what is said of the answer."""

import threading
from dataclasses import replace

import pytest
import screen_snapshots as snapshots
from screen_driver import shown

from monitor.app.interventions import consequences, rates, suggested, to_undo
from monitor.model import Ack, Action, Alert, Link, Mark, RunState, Severity

CONTROL = ["lr", "checkpoint", "pause", "resume", "stop", "interrupt", "detail", "note", "undo"]
ALERT = Alert(
    id=4,
    rule="divergence",
    severity=Severity.CRITICAL,
    raised_step=12_470,
    first_step=12_457,
    summary="loss 9.1, 4 times its start",
    action="Lower the learning rate to 0.3 of its value",
    offers=[Action("lr", {"factor": 0.3}), Action("pause")],
)


class Hand:
    """Stands where the recorder's line is: keeps what is given, answers when it is let."""

    def __init__(self, ok=True, text="done"):
        self.given = []
        self.answer = Ack(id="", ok=ok, text=text)
        self.may_answer = threading.Event()
        self.may_answer.set()

    def __call__(self, run_id, action):
        self.given.append((run_id, action))
        self.may_answer.wait(10)
        return self.answer


def sick(**changes):
    return snapshots.healthy(hello=snapshots.hello(control=CONTROL), alerts=(ALERT,), **changes)


def command(name, step, **fields):
    return Mark(
        **{"step": step, "time_s": 0.0, "kind": "command", "command": name, "by": "ada@node7", "text": name, **fields}
    )


def held_lr(step, schedule, **setting):
    effective = setting.get("pin") or schedule * setting.get("factor", 1)
    groups = {"0": {"schedule": schedule, "effective": effective, **setting}}
    return command("lr", step, text=f"learning rate {setting}", applied={"groups": groups})


def with_schedule(share, since=6000):
    """The usual run with a learning rate that is a share of its schedule from a step on."""
    run = snapshots.series(spike=False)
    lr = run["lr/0"]
    after = lr.steps >= since
    run["lr_schedule/0"] = snapshots.ArrayView("lr_schedule/0", lr.steps[after], lr.values[after])
    run["lr/0"] = snapshots.ArrayView("lr/0", lr.steps, lr.values * (1 + (share - 1) * after))
    return run


async def answered(bedside):
    """Wait for the thread that gives the command, and the screen that it tells."""
    for thread in threading.enumerate():
        if thread.name == "bedside-command":
            while thread.is_alive():
                await bedside.pilot.pause(0.01)
    await bedside.pilot.pause()


# ------------------------------------------------------------------------------------------------- what is offered


async def test_the_selected_alert_offers_what_it_suggests_with_its_values():
    async with shown(sick(), act=Hand()) as bedside:
        assert "d lr x0.3   D pause" in bedside.text
        assert "i intervene" in bedside.lines[-1]


@pytest.mark.parametrize(
    ("snapshot", "act", "reason"),
    [
        (sick(), None, "this monitor only looks (--read-only)"),
        (snapshots.alarming(), Hand(), "this run takes no commands (control=False)"),
        (sick(link=Link.FILE, state=RunState.FINISHED), Hand(), "the run is over"),
    ],
)
async def test_where_nothing_can_be_done_nothing_is_offered_and_the_key_says_why(snapshot, act, reason):
    async with shown(snapshot, act=act) as bedside:
        assert "d lr" not in bedside.text
        assert "i intervene" not in bedside.text
        await bedside.press("i")
        assert reason in bedside.lines[-1]
        assert len(bedside.app.screen_stack) == 1


async def test_a_run_is_offered_only_what_it_takes():
    snapshot = replace(sick(), hello=snapshots.hello(control=["pause", "resume"]))
    async with shown(snapshot, act=Hand()) as bedside:
        assert "d pause" in bedside.text
        await bedside.press("i")
        assert "checkpoint now" not in bedside.text
        assert "p   pause" in bedside.text


# ---------------------------------------------------------------------------------- what is asked, and what is sent


async def test_a_suggestion_is_confirmed_with_its_numbers_and_sent_with_a_second_key():
    hand = Hand(text="learning rate x0.3, from step 12844")
    async with shown(sick(), act=hand) as bedside:
        await bedside.press("d")
        assert "group 0: schedule 0.07665, x0.3, effective 0.07665 → 0.02299" in bedside.text
        assert hand.given == []
        await bedside.press("y")
        await answered(bedside)
        assert hand.given == [("0badcafe", Action("lr", {"factor": 0.3}))]
        assert "✓ learning rate x0.3, from step 12844" in bedside.lines[-1]


@pytest.mark.parametrize("key", ["n", "escape", "d", "enter", "q", "Y"])
async def test_any_other_key_than_y_sends_nothing_and_reaches_nothing_under_it(key):
    hand = Hand()
    async with shown(sick(), act=hand) as bedside:
        before = bedside.text
        await bedside.press("D", key)
        assert hand.given == []
        assert bedside.text == before
        assert bedside.app.is_running


async def test_while_the_answer_is_away_the_screen_goes_on_and_says_so():
    hand = Hand()
    hand.may_answer.clear()
    async with shown(sick(), act=hand) as bedside:
        await bedside.press("D", "y")
        assert "pause: waiting for the next step" in bedside.lines[-1]
        await bedside.tick(snapshots.newer(sick(), step=12_900))
        assert "step 12,900" in bedside.text
        hand.may_answer.set()
        await answered(bedside)
        assert "✓ done" in bedside.lines[-1]


async def test_a_refusal_is_shown_with_its_reason_and_makes_room_for_the_keys_again():
    hand = Hand(ok=False, text="rank 1 has no probe; call probe.attach on every rank")
    async with shown(sick(), act=hand) as bedside:
        await bedside.press("D", "y")
        await answered(bedside)
        assert "✗ pause refused: rank 1 has no probe" in bedside.lines[-1]
        await bedside.press("escape")
        assert "i intervene" in bedside.lines[-1]


async def test_an_answer_is_gone_after_a_while():
    async with shown(sick(), act=Hand()) as bedside:
        await bedside.press("D", "y")
        await answered(bedside)
        bedside.now_s += 20.0
        await bedside.tick()
        assert "i intervene" in bedside.lines[-1]


@pytest.mark.parametrize(
    ("key", "action"),
    [
        ("d", Action("lr", {"factor": 0.3})),
        ("D", Action("pause")),
        ("c", Action("checkpoint")),
        ("p", Action("pause")),
        ("s", Action("stop")),
        ("S", Action("stop", {"checkpoint": False})),
        ("x", Action("interrupt")),
        ("m", Action("detail", {"steps": 100})),
        ("u", Action("undo")),
    ],
)
async def test_each_key_of_the_menu_asks_for_its_command(key, action):
    hand = Hand()
    async with shown(sick(), act=hand) as bedside:
        await bedside.press("i", key, "y")
        await answered(bedside)
        assert [given for _, given in hand.given] == [action]


async def test_any_other_key_closes_the_menu():
    hand = Hand()
    async with shown(sick(), act=hand) as bedside:
        before = bedside.text
        await bedside.press("i", "escape")
        assert bedside.text == before


async def test_a_learning_rate_is_typed_until_it_is_one():
    hand = Hand()
    async with shown(sick(), act=hand) as bedside:
        await bedside.press("i", "l", *"half", "enter")
        assert "'half' is neither a factor such as x0.5 nor a learning rate" in bedside.text
        await bedside.press(*["backspace"] * 4, *"3e-4", "enter")
        assert "pinned, effective 0.07665 → 0.0003" in bedside.text
        await bedside.press("y")
        await answered(bedside)
        assert [given for _, given in hand.given] == [Action("lr", {"pin": 3e-4})]


async def test_a_note_is_typed_with_spaces_and_escape_leaves_it():
    hand = Hand()
    async with shown(sick(), act=hand) as bedside:
        await bedside.press("i", "n", *"no", "escape")
        await bedside.press("i", "n", *"new", "space", *"data", "enter", "y")
        await answered(bedside)
        assert [given for _, given in hand.given] == [Action("note", {"text": "new data"})]


# ------------------------------------------------------------------------------------------------ what is shown of it


async def test_whoever_opens_a_monitor_sees_who_holds_the_run_and_how_it_goes_on():
    hand = Hand()
    held = sick(state=RunState.PAUSED, marks=(command("pause", 12_843),))
    async with shown(held, act=hand) as bedside:
        assert "‖ paused by ada@node7 at step 12,843: press r to resume" in bedside.lines[2]
        await bedside.press("r", "y")
        await answered(bedside)
        assert hand.given == [("0badcafe", Action("resume"))]


async def test_a_monitor_that_only_looks_does_not_offer_to_resume():
    async with shown(sick(state=RunState.PAUSED, marks=(command("pause", 12_843),))) as bedside:
        assert "‖ paused by ada@node7 at step 12,843: this monitor only looks (--read-only)" in bedside.lines[2]


async def test_r_does_nothing_to_a_run_that_is_not_held():
    async with shown(sick(), act=Hand()) as bedside:
        await bedside.press("r")
        assert len(bedside.app.screen_stack) == 1


async def test_an_intervention_is_marked_on_every_chart():
    async with shown(sick(marks=(command("lr", 6000, text="learning rate x0.5"),))) as bedside:
        assert sum(line.count("»") for line in bedside.lines) == 4


@pytest.mark.parametrize(
    ("size", "told"),
    [((120, 40), "─ 0.07665 x0.5 ─╯"), ((240, 60), "schedule 0.07665, x0.5, effective 0.03832")],
)
async def test_the_learning_rate_panel_tells_schedule_setting_and_what_is_used(size, told):
    held = sick(series=with_schedule(0.5), marks=(held_lr(6000, 0.08, factor=0.5),))
    async with shown(held, size) as bedside:
        assert told in bedside.text


async def test_a_narrow_screen_tells_the_setting_in_the_vital_signs():
    async with shown(sick(series=with_schedule(0.5), marks=(held_lr(6000, 0.08, factor=0.5),)), (80, 24)) as bedside:
        assert "lr x0.5" in bedside.text


# ---------------------------------------------------------------------------------------------------- the numbers


def test_without_an_intervention_the_schedule_is_what_is_used():
    (rate,) = rates(sick())
    assert (rate.group, rate.setting) == ("0", "")
    assert rate.schedule == rate.effective


def test_what_a_command_said_counts_before_the_first_step_with_it():
    (rate,) = rates(sick(marks=(held_lr(12_843, 0.08, pin=3e-4),)))
    assert rate == ("0", 0.08, 3e-4, "pinned")


def test_a_factor_that_was_in_force_when_the_record_began_is_told_from_the_series():
    (rate,) = rates(sick(series=with_schedule(0.25)))
    assert rate.setting == "x0.25"
    assert rate.effective == pytest.approx(0.25 * rate.schedule)


def test_a_suggestion_is_of_what_was_used_when_it_was_said_and_the_same_when_asked_for_twice():
    once = sick(series=with_schedule(0.5), marks=(held_lr(6000, 0.08, factor=0.5),))
    twice = replace(once, marks=(*once.marks, held_lr(12_843, 0.0766, factor=0.15)))

    assert suggested(once, ALERT)[0] == suggested(twice, ALERT)[0] == Action("lr", {"factor": 0.15})


def test_a_resolved_alert_suggests_nothing():
    assert suggested(sick(), snapshots.RESOLVED) == []


def test_an_undo_takes_back_the_last_one_that_was_not_taken_back():
    first, second = held_lr(10, 0.1, factor=0.5), held_lr(20, 0.1, factor=0.2)
    undo = command("undo", 30)

    assert to_undo(sick(marks=(first, second))) is second
    assert to_undo(sick(marks=(first, second, undo))) is first
    assert to_undo(sick(marks=(first, second, undo, undo, undo))) is None


def test_a_stop_without_a_checkpoint_names_the_one_to_go_back_to():
    stop = Action("stop", {"checkpoint": False})
    saved = command("checkpoint", 9000, applied={"path": "/runs/0badcafe/step-9000.pt"})

    assert list(consequences(sick(marks=(saved,)), stop))[-1] == (
        "The last one is of step 9,000: /runs/0badcafe/step-9000.pt"
    )
    assert list(consequences(sick(), stop))[-1] == "Bedside has written none of this run."
