import msgspec

from monitor.record.judge import Judge
from probe import wire

HELLO = wire.Hello(schema=1, run_id="0123abcd", name="toy", started_s=0.0)
GOODBYE = wire.Goodbye(time_s=0.0, reason="finished")


class Engine:
    """Raises an alert at each batch, with its number; raises ``error`` at batch ``bad_seq``."""

    def __init__(self, bad_seq: int = 0) -> None:
        self.bad_seq = bad_seq

    def hello(self, hello) -> None:
        assert hello.run_id == HELLO.run_id

    def feed(self, batch):
        if batch.seq == self.bad_seq:
            raise ZeroDivisionError("no steps")
        return [wire.Alert(id=batch.seq, rule="no-such-rule", severity=wire.Severity.WARNING, raised_step=0)]

    def finish(self, goodbye):
        return [wire.Alert(id=99, rule="slow", severity=wire.Severity.INFO, raised_step=0)]


class Run:
    """Recorded batches, and the judge of them."""

    def __init__(self, recorded: int, bad_seq: int = 0, make_engine=None, hello=HELLO) -> None:
        self.batches = [wire.Batch(seq=seq) for seq in range(1, recorded + 1)]
        self.faults: list[str] = []
        self.judge = Judge(self.faults.append, make_engine or (lambda: Engine(bad_seq)))
        self.judge.begin(hello, lambda after: [batch for batch in self.batches if batch.seq > after])

    def record(self, seq: int) -> None:
        self.batches.append(wire.Batch(seq=seq))
        self.judge.feed(self.batches[-1])


def ids(alerts) -> list[int]:
    return [alert.id for alert in alerts]


def test_a_new_run_is_judged_as_it_comes():
    run = Run(recorded=0)
    assert run.judge.turn() == []
    run.record(1)
    run.record(2)

    assert ids(run.judge.turn()) == [1, 2]
    assert run.judge.turn() == []


def test_after_a_takeover_the_past_is_judged_first_and_nothing_twice():
    run = Run(recorded=20)
    first = run.judge.turn()
    run.record(21)
    later = []
    while run.judge.is_behind:
        later += run.judge.turn()
    run.record(22)

    assert ids(first) == list(range(1, 9))
    assert ids(later + run.judge.turn()) == list(range(9, 23))


def test_reflexes_wait_until_the_past_is_judged():
    run = Run(recorded=20, hello=msgspec.structs.replace(HELLO, on_alert={"no-such-rule": wire.Action("pause")}))
    run.judge.turn()
    behind = run.judge.reflexes()
    while run.judge.is_behind:
        run.judge.turn()

    assert behind == []
    assert {command.by for command, _ in run.judge.reflexes()} == {"reflex no-such-rule"}
    assert run.judge.reflexes() == []
    assert run.faults == [
        "on_alert names 'no-such-rule', which is no rule, so nothing comes of it; 'bedside rules' lists them."
    ]


def test_the_end_waits_for_the_past():
    assert ids(Run(recorded=20).judge.finish(GOODBYE)) == [*range(1, 21), 99]


def test_a_fault_of_the_engine_is_said_once_and_ends_the_alerts():
    run = Run(recorded=3, bad_seq=2)

    assert ids(run.judge.turn()) == [1]
    run.record(4)
    assert run.judge.turn() == run.judge.finish(GOODBYE) == []
    (said,) = run.faults
    assert said.startswith("Alerts are off for this run: the engine failed (ZeroDivisionError: no steps).")


def test_an_engine_that_cannot_be_made_is_a_fault_like_any_other():
    def make():
        raise ImportError("no module named rules")

    run = Run(recorded=3, make_engine=make)

    assert run.judge.turn() == []
    assert not run.judge.is_behind
    assert "ImportError: no module named rules" in run.faults[0]
