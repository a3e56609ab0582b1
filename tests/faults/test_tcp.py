"""``tcp://`` as an attacker and as a friend: without an authorised key nothing comes out, and nothing gets in."""

import contextlib
import os
import re
import socket
import stat
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
import zmq
from histories import recorded, same
from toy_run import ROOT, until
from viewer import shown

from monitor.commands.watching import resolve
from monitor.feeds.line import Curve
from monitor.keys import Keyring, as_bytes, as_text
from monitor.record.door import LOOK_S
from monitor.session import Session
from probe import runtime, wire


@pytest.fixture
def ring(toy_run):
    """The keys of the machine that trains."""
    return Keyring(toy_run.home / "keys")


@pytest.fixture
def port():
    """Two ports in a row that are free just now."""
    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            try:
                two.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


@pytest.fixture
def knocking():
    """Sockets of a client, with whatever keys it has: the stream's and the questions'."""
    context = zmq.Context()
    context.linger = 0

    def knock(port: int, curve: Curve | None) -> tuple[zmq.Socket, zmq.Socket]:
        ask, live = context.socket(zmq.DEALER), context.socket(zmq.SUB)
        live.subscribe(b"")
        for sock, place in ((ask, port), (live, port + 1)):
            if curve is not None:
                curve.put_on(sock)
            sock.connect(f"tcp://127.0.0.1:{place}")
        with contextlib.suppress(zmq.Again):  # turned away already, and without a way out a question waits for ever
            ask.send(wire.encode(wire.HistoryRequest(id="h")), zmq.NOBLOCK)
        return ask, live

    yield knock
    context.destroy(linger=0)


@pytest.fixture
def bedside(tmp_path):
    """A command on the machine that watches, which has a home of its own."""

    def run(*words, home="there"):
        env = {**os.environ, "PYTHONPATH": str(ROOT), "BEDSIDE_HOME": str(tmp_path / home), "LOGNAME": "ada"}
        command = [sys.executable, "-m", "monitor", *words]
        done = subprocess.run(
            command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
        )
        return done.returncode, done.stdout, done.stderr

    return run


def pair() -> tuple[bytes, bytes]:
    return zmq.curve_keypair()


def curve_of(ring: Keyring, own: tuple[bytes, bytes]) -> Curve:
    return Curve(ring.own().public, *own)


def train(toy_run, port: int, steps: int = 10_000_000, end: str = "wait", **environment):
    process = toy_run.train(steps, end, 0.001, ENDPOINT=f"tcp://127.0.0.1:{port}", **environment)
    toy_run.wait_live()
    return process


def received(sock) -> int:
    """How many frames are there now."""
    count = 0
    while sock.poll(0):
        sock.recv()
        count += 1
    return count


def test_an_authorised_key_follows_a_run_to_its_end(toy_run, ring, port):
    ring.authorise(as_text(ring.own().public), "me")
    process = train(toy_run, port)
    session = Session(resolve(f"tcp://{as_text(ring.own().public)}@127.0.0.1:{port}").feed)
    session.start()
    until(lambda: session.latest().step > 500)
    process.kill()
    process.wait()
    until(lambda: session.latest().state.is_over)
    session.close()

    assert session.latest().hello.run_id == toy_run.run_id
    same(shown(session), recorded(toy_run))


def test_without_an_authorised_key_nothing_comes_out(toy_run, ring, port, knocking):
    friend, stranger = pair(), pair()
    ring.authorise(as_text(friend[0]), "friend")
    train(toy_run, port)
    outside = [
        knocking(port, None),
        knocking(port, curve_of(ring, stranger)),
        knocking(port, Curve(pair()[0], *friend)),
    ]
    ask, live = knocking(port, curve_of(ring, friend))

    assert ask.poll(15_000)
    assert live.poll(15_000)
    assert [received(sock) for sockets in outside for sock in sockets] == [0] * 6


def test_a_revoked_key_is_cut_off_and_stays_outside(toy_run, ring, port, knocking, monitor_of):
    friend, other = pair(), pair()
    ring.authorise(as_text(friend[0]), "friend")
    ring.authorise(as_text(other[0]), "other")
    train(toy_run, port)
    beside = monitor_of(toy_run.wait_live())
    (ask, live), (_, other_live) = knocking(port, curve_of(ring, friend)), knocking(port, curve_of(ring, other))
    assert ask.poll(15_000)
    assert live.poll(15_000)
    assert other_live.poll(15_000)
    first = beside.next(wire.Batch).seq

    ring.revoke("friend")
    until(lambda: received(live) + received(ask) == 0 and not live.poll(1500))
    received(other_live)
    with contextlib.suppress(zmq.Again):  # there may be no line left to send on
        ask.send(wire.encode(wire.HistoryRequest(id="again")), zmq.NOBLOCK)

    assert other_live.poll(15_000)
    assert beside.next(wire.Batch).seq == first + 1  # the Unix sockets lost nothing
    assert received(live) + received(ask) == 0


def test_sockets_that_come_back_after_a_logout_are_open_to_this_user_and_the_port_to_keys_alone(
    toy_run, ring, port, knocking, monitor_of
):
    friend = pair()
    ring.authorise(as_text(friend[0]), "friend")
    train(toy_run, port)
    names = list(runtime.socket_folder().glob(f"{toy_run.run_id}.*"))

    for name in names:
        name.unlink()
    until(lambda: all(name.is_socket() for name in names))
    outside = knocking(port, None)
    ask, live = knocking(port, curve_of(ring, friend))

    assert monitor_of(toy_run.wait_live()).history()
    assert ask.poll(15_000)
    assert live.poll(15_000)
    assert [received(sock) for sock in outside] == [0, 0]


def test_a_secret_that_cannot_be_used_opens_nothing(toy_run, ring, port, knocking, monitor_of):
    ring.own()
    (toy_run.home / "keys" / "secret").chmod(0o644)
    train(toy_run, port)
    _, messages = monitor_of(toy_run.wait_live()).history()
    time.sleep(2.5 * LOOK_S)
    ask, live = knocking(port, None)

    assert [f"cannot be watched at tcp://127.0.0.1:{port}" in m.text for m in messages if hasattr(m, "text")] == [
        True
    ]
    assert not ask.poll(2000)
    assert not live.poll(0)


def test_those_who_are_not_let_in_do_not_keep_the_recorder(toy_run, ring, port, knocking):
    ring.authorise(as_text(pair()[0]), "friend")
    process = train(toy_run, port)
    knocking(port, None)
    knocking(port, curve_of(ring, pair()))
    until(lambda: len(toy_run.committed_steps()) > 500)
    process.kill()
    process.wait()

    toy_run.wait_recorder_gone()


def test_a_command_without_a_key_does_not_arrive(toy_run, ring, port, knocking):
    friend = pair()
    ring.authorise(as_text(friend[0]), "friend")
    train(toy_run, port)
    order = wire.encode(wire.Command(id="c", run_id=toy_run.run_id, name="stop", time_s=0.0))
    (outside, _), (inside, _) = knocking(port, None), knocking(port, curve_of(ring, friend))
    outside.send(order)
    inside.send(order)

    answers = []
    until(lambda: answers.append(wire.decode(inside.recv())) or isinstance(answers[-1], wire.Ack))

    assert (answers[-1].ok, answers[-1].text) == (False, "this run takes no commands")
    assert received(outside) == 0


def test_who_subscribes_to_a_thousand_things_is_put_out_and_nobody_else_for_long(
    toy_run, ring, port, knocking, monitor_of
):
    friend = pair()
    ring.authorise(as_text(friend[0]), "friend")
    train(toy_run, port)
    beside = monitor_of(toy_run.wait_live())
    _, live = knocking(port, curve_of(ring, friend))
    _, strange = knocking(port, curve_of(ring, friend))
    assert live.poll(15_000)
    recorder = psutil.Process(toy_run.wait_live().recorder_pid)
    bytes_before = recorder.memory_info().rss
    for number in range(20_000):
        strange.subscribe(f"{number:05} {'nothing of this kind is sent' * 3}")
    before = len(toy_run.committed_steps())
    until(lambda: len(toy_run.committed_steps()) > before + 3000)
    grown_bytes = recorder.memory_info().rss - bytes_before
    strange.close()
    outside, _ = knocking(port, None)

    received(live)
    assert live.poll(15_000)
    assert beside.next(wire.Batch).seq < beside.next(wire.Batch).seq
    assert grown_bytes < 64 * 1024 * 1024
    assert received(outside) == 0


def test_raw_bytes_at_the_port_do_no_harm(toy_run, ring, port, monitor_of):
    ring.authorise(as_text(pair()[0]), "friend")
    process = train(toy_run, port)
    monitor = monitor_of(toy_run.wait_live())
    random = np.random.default_rng(0)
    greeting = bytes.fromhex("ff00000000000000017f0301") + b"CURVE".ljust(20, b"\0") + bytes(32)
    for number in range(300):
        with socket.create_connection(("127.0.0.1", port + number % 2), 5.0) as line:
            line.sendall((greeting if number % 3 else b"") + random.bytes(int(random.integers(0, 400))))

    assert monitor.next(wire.Batch).seq < monitor.next(wire.Batch).seq
    process.kill()
    process.wait()
    assert monitor.next(wire.Goodbye).signal == "SIGKILL"


def test_insecure_is_open_to_who_is_on_the_machine(toy_run, port, bedside):
    process = train(toy_run, port, INSECURE="yes")
    tail = subprocess.Popen(
        [sys.executable, "-m", "monitor", "tail", f"tcp://127.0.0.1:{port}"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "BEDSIDE_HOME": str(toy_run.home / "other")},
        stdout=subprocess.PIPE,
        text=True,
    )
    toy_run.processes.append(tail)
    first = tail.stdout.readline()
    process.kill()
    process.wait()

    assert f"run toy ({toy_run.run_id})" in first
    assert "killed by SIGKILL" in tail.stdout.read()


def test_a_port_that_is_taken_is_said_and_costs_nothing(toy_run, port, ring, monitor_of):
    ring.authorise(as_text(pair()[0]), "friend")
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        train(toy_run, port)
        messages = monitor_of(toy_run.wait_live()).history()[1]

    (notice,) = [message.text for message in messages if isinstance(message, wire.Notice)]
    assert notice.startswith(f"This run cannot be watched at tcp://127.0.0.1:{port} (Address already in use")


def test_the_way_from_nothing_to_a_watched_run_in_the_words_of_the_commands(toy_run, port, bedside):
    status, theirs, _ = bedside("keys", "make", home="home")
    key = theirs.split()[-1]
    assert (status, len(key)) == (0, 64)
    bedside("keys", "authorise", "0" * 64, "nobody", home="home")
    process = train(toy_run, port)

    assert bedside("tail", f"tcp://127.0.0.2:{port}")[2] == (
        "bedside tail: the key of 127.0.0.2 is not known here; 'bedside keys show' prints it there, and then it is "
        f"tcp://KEY@127.0.0.2:{port}, the first time\n"
    )
    refused = bedside("tail", f"tcp://{key}@127.0.0.1:{port}")[2]
    line = re.fullmatch(r"bedside tail: .* does not know this machine's key; there: bedside (keys .*)\n", refused)[1]
    assert bedside(*line.split(), home="home") == (
        0,
        "ada may watch and command the runs of this machine that have an endpoint, from now on\n",
        "",
    )
    process.kill()  # its end is what tail waits for; the recorder goes on for as long as somebody may come
    assert f"run toy ({toy_run.run_id})" in bedside("tail", f"tcp://127.0.0.1:{port}")[1]


def test_the_keys_are_shown_and_revoked_by_name(bedside):
    key = as_text(pair()[0])
    bedside("keys", "authorise", key, "laptop")

    assert bedside("keys", "show")[1].splitlines()[1] == f"authorised    {key}  laptop"
    assert bedside("keys", "revoke", "lapdog") == (
        2,
        "",
        "bedside keys: no key of that name is authorised; there is laptop\n",
    )
    assert bedside("keys", "revoke", "laptop")[0] == 0
    assert len(bedside("keys", "show")[1].splitlines()) == 1


@pytest.mark.parametrize("key", ["", "abc", "g" * 64, "0" * 63])
def test_what_is_no_key_is_refused(bedside, key):
    status, out, err = bedside("keys", "authorise", key, "laptop")

    assert (status, out) == (2, "")
    assert err.startswith(f"bedside keys: {key!r} is no key; one is 64 hexadecimal digits")


def test_a_name_leads_nowhere_else(bedside, tmp_path):
    status, _, err = bedside("keys", "authorise", "0" * 64, "../../.ssh")

    assert status == 2
    assert "is no name for a key" in err
    assert not list(tmp_path.rglob(".ssh"))


def test_the_secret_is_for_this_user_alone_or_not_used(ring, toy_run):
    ring.own()
    secret = toy_run.home / "keys" / "secret"

    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(secret.parent.stat().st_mode) == 0o700
    secret.chmod(0o640)
    with pytest.raises(Exception, match=r"is not yours alone \(mode 640\)"):
        ring.own()


def test_a_key_reads_back_as_it_was():
    public, _ = pair()

    assert as_bytes(as_text(public)) == public
