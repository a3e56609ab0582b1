"""Which alarms are answered with the command that the training asked for in advance, and when."""

import msgspec

from monitor.record.reflexes import Reflexes, unknown
from probe import wire

PAUSE = wire.Action("pause")
HELLO = wire.Hello(schema=1, run_id="0123abcd", name="toy", started_s=0.0, on_alert={"divergence": PAUSE})


def alarm(**changes):
    alert = wire.Alert(id=1, rule="divergence", severity=wire.Severity.CRITICAL, raised_step=120, last_step=120)
    return msgspec.structs.replace(alert, **changes)


def left_at(step, by="reflex divergence"):
    return wire.Mark(step=step, time_s=0.0, text="paused", kind="command", command="pause", by=by)


def given(reflexes):
    return [(command.name, command.by, command.run_id) for command, _ in reflexes.due()]


def test_an_alarm_is_answered_with_its_command_and_the_reason():
    reflexes = Reflexes(HELLO)
    reflexes.see([alarm()], [])
    ((command, why),) = reflexes.due()

    assert (command.name, command.args, command.by, command.run_id) == ("pause", {}, "reflex divergence", "0123abcd")
    assert why == "divergence at step 120: pause, as on_alert says."


def test_it_is_answered_once_each_time_that_it_comes_up():
    reflexes, asked = Reflexes(HELLO), []
    for alert in (alarm(), alarm(last_step=160), alarm(resolved_step=200), alarm(count=2, last_step=300)):
        reflexes.see([alert], [])
        asked.append(len(reflexes.due()))

    assert asked == [1, 0, 0, 1]


def test_a_notice_is_answered_when_it_becomes_an_alarm():
    reflexes = Reflexes(HELLO)
    reflexes.see([alarm(severity=wire.Severity.NOTICE)], [])
    before = given(reflexes)
    reflexes.see([alarm(severity=wire.Severity.WARNING)], [])

    assert (before, given(reflexes)) == ([], [("pause", "reflex divergence", "0123abcd")])


def test_an_alarm_that_nobody_asked_about_or_that_is_over_is_not_answered():
    reflexes = Reflexes(HELLO)
    reflexes.see([alarm(rule="non-finite"), alarm(id=2)], [])
    reflexes.see([alarm(id=2, resolved_step=130)], [])

    assert given(reflexes) == []


def test_a_recorder_that_takes_over_does_not_repeat_what_has_left_its_mark():
    reflexes = Reflexes(HELLO)
    reflexes.see([alarm()], [left_at(131)])
    reflexes.see([alarm(last_step=160)], [])

    assert given(reflexes) == []


def test_a_recorder_that_takes_over_answers_what_the_one_before_had_not():
    reflexes = Reflexes(HELLO)
    reflexes.see([alarm()], [left_at(90), left_at(131, by="ada@node7")])

    assert given(reflexes) == [("pause", "reflex divergence", "0123abcd")]


def test_a_name_that_is_no_rule_is_said_with_the_one_that_was_meant():
    hello = msgspec.structs.replace(HELLO, on_alert={"divergnce": PAUSE, "gremlins": PAUSE, "divergence": PAUSE})

    assert list(unknown(hello)) == [
        "on_alert names 'divergnce', which is no rule, so nothing comes of it; did you mean 'divergence'?",
        "on_alert names 'gremlins', which is no rule, so nothing comes of it; 'bedside rules' lists them.",
    ]
