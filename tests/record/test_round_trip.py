"""From the sender through the recorder into the run file and to a monitor, with real processes and sockets."""

import time
from pathlib import Path

import numpy as np
import pytest
import toy_trainer
from toy_run import only, points, until

from monitor.record import registry
from monitor.record.runfile import read_run
from probe import wire
from probe.sender import UNWATCHED_S, WATCHED_S


def expected(key: str, steps: int) -> np.ndarray:
    return np.array([toy_trainer.value(key, step) for step in range(1, steps + 1)])


@pytest.mark.parametrize("key", toy_trainer.KEYS)
def test_the_run_file_holds_every_scalar_of_the_run(toy_run, key):
    process = toy_run.train(1000, "finished")
    process.communicate(timeout=20)

    steps, values = points(read_run(toy_run.file()), key)

    np.testing.assert_array_equal(steps, np.arange(1, 1001))
    np.testing.assert_array_equal(values, expected(key, 1000))


def test_of_a_rank_that_is_entered_again_under_the_same_id_each_part_is_recorded_whole(toy_run):
    for steps in (100, 60):  # at once, while the first recorder is still there
        toy_run.train(steps, "finished", RANK="1").communicate(timeout=20)

    files = sorted((toy_run.home / "runs").glob("*.bedside"))
    assert [list(points(read_run(file), "train/loss")[0]) for file in files] == [
        list(range(1, 101)),
        list(range(1, 61)),
    ]


def test_a_finished_run_is_one_plain_file_and_leaves_nothing_else(toy_run):
    process = toy_run.train(300, "wait")
    live = toy_run.wait_live()
    process.kill()
    toy_run.wait_recorder_gone()

    assert [path.suffix for path in (toy_run.home / "runs").iterdir()] == [".bedside"]
    assert list((toy_run.home / "live").iterdir()) == []
    assert not Path(live.live.removeprefix("ipc://")).exists()


def test_a_late_monitor_gets_all_that_it_missed_and_then_follows(toy_run, monitor_of):
    toy_run.train(2000, "wait", 0.002)
    monitor = monitor_of(toy_run.wait_live())
    monitor.next(wire.Batch)

    _, past = monitor.history()
    last_seq = max(message.seq for message in past if isinstance(message, wire.Batch))
    live = []
    while not live or live[-1].seq < last_seq + 3:
        live.append(monitor.next(wire.Batch))
    messages = [*past, *(batch for batch in live if batch.seq > last_seq)]

    steps, values = points(messages, "grad/norm")
    np.testing.assert_array_equal(steps, np.arange(1, len(steps) + 1))
    np.testing.assert_array_equal(values, expected("grad/norm", len(steps)))
    assert isinstance(past[0], wire.Hello)


def test_history_after_a_batch_begins_right_behind_it_although_pages_are_longer(toy_run, monitor_of):
    process = toy_run.train(700, "wait", 0.001)
    assert process.stdout.readline() == "trained\n"
    monitor = monitor_of(toy_run.wait_live())
    until(lambda: toy_run.summary_step() == 700)
    _, whole = monitor.history()

    _, rest = monitor.history(after_seq=3)

    first = next(message for message in rest if isinstance(message, wire.Batch))
    assert (first.first_seq or first.seq) == 4
    last = [message.seq for message in whole if isinstance(message, wire.Batch)][-1]
    assert [message.seq for message in rest if isinstance(message, wire.Batch)][-1] >= last


def test_the_registry_names_the_run_while_it_is_served(toy_run):
    toy_run.train(1, "wait")

    live = toy_run.wait_live()

    assert live == registry.find("toy").live == registry.find(toy_run.run_id[:5]).live
    assert live.file == str(toy_run.file())
    assert live.pid == toy_run.processes[0].pid


def test_a_command_to_a_run_that_takes_none_is_refused(toy_run, monitor_of):
    toy_run.train(1, "wait")
    monitor = monitor_of(toy_run.wait_live())

    command = wire.Command(id="c1", run_id=toy_run.run_id, name="pause", time_s=0.0)
    monitor.ask_socket.send(wire.encode(command))

    assert monitor.answer() == wire.Ack(id="c1", ok=False, text="this run takes no commands")


def test_an_alert_is_raised_with_nobody_watching_and_told_to_those_who_come(toy_run, monitor_of):
    process = toy_run.train(60, "wait")
    assert process.stdout.readline() == "trained\n"
    monitor = monitor_of(toy_run.wait_live())

    def alerts() -> list[wire.Alert]:
        return [message for message in monitor.history()[1] if isinstance(message, wire.Alert)]

    (alert,) = [alert for alert in until(alerts) if alert.rule == "non-finite"]

    assert (alert.severity, alert.first_step) == (wire.Severity.CRITICAL, 50)


def test_the_hello_comes_back_as_it_was_sent(toy_run):
    toy_run.train(1, "finished").communicate(timeout=20)

    hello = only(read_run(toy_run.file()), wire.Hello)

    assert (hello.run_id, hello.name, hello.pid) == (toy_run.run_id, "toy", toy_run.processes[0].pid)


def test_the_sender_wakes_more_often_as_soon_as_somebody_watches_and_less_when_he_has_gone(toy_run, monitor_of):
    begun = time.monotonic()
    sender = toy_trainer.start(toy_run.run_id)
    try:
        live = toy_run.wait_live()

        def wakes_each(seconds):
            sender.put(toy_trainer.Row(1 + int(1000 * (time.monotonic() - begun)), time.time()))
            return sender.wake_s == seconds

        until(lambda: wakes_each(UNWATCHED_S))
        monitor = monitor_of(live)
        until(lambda: wakes_each(WATCHED_S))
        monitor.close()
        until(lambda: wakes_each(UNWATCHED_S))
    finally:
        sender.close(wire.Goodbye(time_s=time.time(), reason="finished"))
