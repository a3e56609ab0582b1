import os
import signal
import subprocess
import sys

import pytest
from toy_run import until

from monitor.record import ending
from monitor.record.ending import Exit, Watch
from probe.wire import Goodbye

TOLD = Goodbye(time_s=1.0, reason="finished", step=7)
RAISED = Goodbye(time_s=1.0, reason="exception", step=7, error="ValueError: no")


@pytest.mark.parametrize(
    ("told", "seen", "reason"),
    [
        (TOLD, None, "finished"),
        (TOLD, Exit(exit_code=0), "finished"),
        (TOLD, Exit(exit_code=3), "exit"),
        (TOLD, Exit(signal="SIGSEGV"), "signal"),
        (RAISED, Exit(exit_code=1), "exception"),
        (RAISED, Exit(signal="SIGINT"), "exception"),
        (None, None, "vanished"),
        (None, Exit(exit_code=0), "finished"),
        (None, Exit(exit_code=4), "exit"),
        (None, Exit(signal="SIGKILL"), "signal"),
        (None, Exit(signal="SIGKILL", is_out_of_memory=True), "out-of-memory"),
        (None, Exit(is_out_of_memory=True), "out-of-memory"),
    ],
)
def test_the_reason_is_the_most_that_is_known(told, seen, reason):
    assert ending.goodbye(told, seen, step=7).reason == reason


def test_what_the_training_process_told_is_kept():
    goodbye = ending.goodbye(RAISED, Exit(exit_code=1), step=9)

    assert (goodbye.error, goodbye.step, goodbye.exit_code) == ("ValueError: no", 7, 1)


@pytest.fixture
def child():
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.exit(int(sys.stdin.read() or 0))"], stdin=-1)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("has_pidfd", [True, False])
def test_a_process_is_seen_to_go_with_its_exit_code_while_it_is_a_zombie(child, has_pidfd):
    watch = Watch(child.pid, os.pidfd_open(child.pid) if has_pidfd else None)
    assert not watch.is_gone()

    child.stdin.write(b"5")
    child.stdin.close()
    until(watch.is_gone)

    assert watch.exit() == Exit(exit_code=5)


def test_the_signal_is_known_after_the_process_was_reaped_where_the_kernel_tells(child):
    watch = Watch(child.pid, os.pidfd_open(child.pid))
    child.send_signal(signal.SIGTERM)
    child.wait()

    seen = watch.exit()

    assert seen == (Exit(signal="SIGTERM") if _kernel() >= (6, 15) else None)


def test_a_process_that_was_reaped_is_gone_without_a_pidfd(child):
    watch = Watch(child.pid)
    child.kill()
    child.wait()

    assert watch.is_gone()
    assert watch.exit() is None


@pytest.mark.parametrize("text", ["low 0\noom 1\noom_kill 3\n", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"])
def test_the_kills_of_a_control_group_are_counted_in_both_versions(tmp_path, text):
    counter = tmp_path / "memory.events"
    counter.write_text(text)

    assert ending._oom_kills(counter) == 3


def _kernel() -> tuple[int, ...]:
    return tuple(int(part) for part in os.uname().release.split(".")[:2])
