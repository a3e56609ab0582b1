"""The command line as a newcomer meets it: wrong words, no runs, no terminal, a pipe, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from monitor import cli
from monitor.record.runfile import Changes, RunFile
from probe import wire
from probe.batch import BatchBuilder

ROOT = Path(__file__).parent.parent.parent
COMMANDS = [name for name, _, _ in cli.COMMANDS]


def environment(home):
    kept = {key: value for key, value in os.environ.items() if not key.startswith("BEDSIDE")}
    return {**kept, "BEDSIDE_HOME": str(home), "PYTHONPATH": str(ROOT), "TMPDIR": str(home), "LANG": "C.UTF-8"}


@pytest.fixture
def bedside(tmp_path):
    """Run a command with an empty home; gives (status, standard output, standard error)."""

    def run(*words):
        done = subprocess.run(
            [sys.executable, "-m", "monitor", *words],
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    return run


def write_run(home, run_id="aaaa1111", name="toy", steps=60, alert=None):
    """A finished run file as a recorder leaves it."""
    builder = BatchBuilder()
    for step in range(1, steps + 1):
        builder.row(step, 1.7e9 + step, {"train/loss": 2.0 / step})
        if step % 20 == 0:
            builder.row(step, 1.7e9 + step, {"val/loss": 2.5 / step, "val/accuracy": 0.5})
    batch = builder.build(1)
    hello = wire.Hello(schema=1, run_id=run_id, name=name, started_s=1.7e9, model="Net", host="box")
    goodbye = wire.Goodbye(time_s=1.7e9 + steps, reason="finished", step=steps)
    path = Path(home) / "runs" / f"20231114T221320-{name}-{run_id}.bedside"
    file = RunFile.create(path)
    file.write(
        Changes(
            batches=[(batch, wire.encode(batch))],
            alerts={alert.id: wire.encode(alert)} if alert else {},
            meta={"hello": wire.encode(hello), "goodbye": wire.encode(goodbye)},
        )
    )
    file.close()
    return path


ALERT = wire.Alert(
    id=1,
    rule="divergence",
    severity=wire.Severity.CRITICAL,
    first_step=30,
    raised_step=45,
    time_s=1.7e9,
    summary="loss 8",
    action="lower it",
)


def test_help_names_every_command(bedside):
    status, out, err = bedside("--help")

    assert (status, err) == (0, "")
    assert [command for command in COMMANDS if f"\n    {command} " not in out] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(bedside, command):
    status, out, err = bedside(command, "--help")

    assert (status, err) == (0, "")
    assert out.startswith(f"usage: bedside {command}")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["wach"], "bedside: unknown COMMAND 'wach'; did you mean 'watch'? ('bedside --help' lists what there is)"),
        (
            ["watch", "--fast"],
            "bedside watch: unrecognized arguments: --fast ('bedside watch --help' lists what there is)",
        ),
        (["--fast"], "bedside: unrecognized arguments: --fast ('bedside --help' lists what there is)"),
        (["do", "toy"], "bedside do: the following arguments are required: WHAT ('bedside do --help'"),
        (["run"], "bedside run: the following arguments are required: TARGET ('bedside run --help'"),
        (["attach", "x"], "bedside attach: argument PID: 'x' is not a whole number from 1 to 4194304"),
        (["runs", "--prune"], "bedside runs: --prune takes --older DAYS or --keep N or both, and no ssh://HOST"),
        (["runs", "--keep", "-1"], "bedside runs: argument --keep: '-1' is not a whole number from 0 to 1000000"),
        (["rules", "nonsense"], "bedside rules: no rule 'nonsense' ('bedside rules' lists all"),
        (["diagnose", "no.csv"], "bedside diagnose: no.csv: no such file"),
        (
            ["watch", "--fps", "0"],
            "bedside watch: argument --fps: '0' is not a number from 0.5 to 30"
            " ('bedside watch --help' lists what there is)",
        ),
        (
            ["demo", "--fault", "nun"],
            "bedside demo: unknown --fault 'nun'; did you mean 'nan'? ('bedside demo --help' lists what there is)",
        ),
        (
            ["diagnose"],
            "bedside diagnose: the following arguments are required: FILE"
            " ('bedside diagnose --help' lists what there is)",
        ),
        (
            ["diagnose", "x.csv", "--map", "loss"],
            "bedside diagnose: --map takes OURS=THEIRS, as in --map loss=train/ce"
            " ('bedside diagnose --help' lists what there is)",
        ),
        (["rules", "divergance"], "bedside rules: no rule 'divergance'; did you mean 'divergence'?"),
        (["tail", "tcp://gpu:5555"], "bedside tail: the key of gpu is not known here; 'bedside keys show' prints it"),
        (["tail", "tcp://gpu"], "bedside tail: 'tcp://gpu' names no run; it is tcp://HOST:PORT, the first time"),
    ],
)
def test_a_wrong_word_is_one_line_and_status_2(bedside, words, said):
    status, out, err = bedside(*words)

    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(said)


@pytest.mark.parametrize("command", ["watch", "tail"])
def test_a_run_that_does_not_exist_is_one_line_and_status_2(bedside, command, tmp_path):
    status, out, err = bedside(command, "nobody")

    assert (status, out) == (2, "")
    assert err == (
        f"bedside {command}: No run has the name, id or path 'nobody'. There are no runs in {tmp_path} yet.\n"
    )


@pytest.mark.parametrize("command", ["watch", "tail", "diagnose"])
def test_a_file_that_is_no_log_is_one_line_and_status_2(bedside, command, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("dear diary\n")

    status, out, err = bedside(command, str(path))

    assert status == 2
    assert str(path) in out + err
    assert "Traceback" not in out + err


def test_no_runs_at_all_says_how_to_get_one(bedside):
    assert bedside("runs")[0] == 0
    assert "bedside demo" in bedside("runs")[1]
    status, out, err = bedside()
    assert (status, out) == (2, "")
    assert err == (
        "bedside: no run is live and none was recorded; start a training with the probe, or `bedside demo`\n"
    )


def test_runs_lists_what_was_recorded(bedside, tmp_path):
    path = write_run(tmp_path)

    assert "aaaa1111  toy" in bedside("runs")[1]
    (row,) = json.loads(bedside("runs", "--json")[1])
    assert (row["run_id"], row["name"], row["live"], row["file"]) == ("aaaa1111", "toy", False, str(path))


def test_two_runs_of_one_name_are_told_apart_by_id(bedside, tmp_path):
    write_run(tmp_path, "aaaa1111")
    write_run(tmp_path, "bbbb2222")

    status, _, err = bedside("tail", "toy")

    assert status == 2
    assert "aaaa1111" in err
    assert "bbbb2222" in err
    assert bedside("tail", "bbbb2222")[0] == 0


def test_a_folder_stands_for_the_one_run_in_it(bedside, tmp_path):
    folder = write_run(tmp_path, "aaaa1111").parent
    alone = bedside("tail", str(folder))
    write_run(tmp_path, "bbbb2222")

    assert alone == bedside("tail", "aaaa1111")
    assert bedside("tail", str(folder)) == (
        2,
        "",
        f"bedside tail: {folder} holds 2 run files; name one of them"
        " ('bedside runs' lists the runs of this machine)\n",
    )


def test_a_file_that_is_just_being_made_hides_no_run_before_it(bedside, tmp_path):
    write_run(tmp_path)
    (tmp_path / "runs" / "20991231T235959-new-ffff0000.bedside").touch()

    assert bedside("tail")[1].splitlines()[-1].endswith("finished")


def test_a_file_damaged_in_its_middle_is_one_line_and_status_2(bedside, tmp_path):
    path = write_run(tmp_path, steps=4000)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    path.write_bytes(data)

    status, _, err = bedside("tail", "toy")

    assert (status, err.count("\n")) == (2, 1)
    assert err.startswith(f"bedside tail: {path}")


def test_a_folder_of_the_same_name_hides_no_run(bedside, tmp_path, monkeypatch):
    write_run(tmp_path)
    (tmp_path / "toy").mkdir()
    monkeypatch.chdir(tmp_path)

    assert bedside("tail", "toy")[0] == 0


def test_a_name_too_long_for_any_file_is_one_line(bedside):
    status, out, err = bedside("tail", "x" * 300)

    assert (status, out, err.count("\n")) == (2, "", 1)


def test_tail_prints_a_line_an_event(bedside, tmp_path):
    write_run(tmp_path, alert=ALERT)

    status, out, err = bedside("tail", "toy")

    assert (status, err) == (0, "")
    assert [line[9:] for line in out.splitlines()] == [
        "· step       0  run toy (aaaa1111): Net on cpu, box",
        "· step      20  train/loss 0.1  val/loss 0.125  val/accuracy 0.5",
        "· step      40  train/loss 0.05  val/loss 0.0625  val/accuracy 0.5",
        "· step      60  train/loss 0.03333  val/loss 0.04167  val/accuracy 0.5",
        "✗ step      45  critical: divergence (began at step 30): loss 8 → lower it",
        "✓ step      60  finished",
    ]


def test_without_a_terminal_watch_is_tail(bedside, tmp_path):
    write_run(tmp_path)

    assert bedside("watch", "toy") == bedside("tail", "toy")


def test_tail_until_alert_ends_with_1_at_an_alarm(bedside, tmp_path):
    write_run(tmp_path, "aaaa1111", "sick", alert=ALERT)
    write_run(tmp_path, "bbbb2222", "well")

    assert bedside("tail", "sick", "--until-alert")[0] == 1
    assert bedside("tail", "well", "--until-alert")[0] == 0


def test_escape_sequences_in_a_name_are_shown_and_not_obeyed(bedside, tmp_path):
    alert = wire.Alert(id=1, rule="spike", severity=wire.Severity.NOTICE, raised_step=1, summary="\x1b]0;pwned\x07")
    write_run(tmp_path, alert=alert)

    out = bedside("tail", "toy")[1]

    assert "\x1b" not in out
    assert "\\x1b]0;pwned\\x07" in out


def test_rules_prints_every_rule_and_the_definition_of_one(bedside):
    from monitor.rules import RULES

    assert [line.split()[0] for line in bedside("rules")[1].splitlines()] == [rule.name for rule in RULES]
    assert "Fires" in bedside("rules", "divergence")[1]


def test_doctor_says_what_it_found(bedside):
    status, out, err = bedside("doctor")

    assert err == ""
    assert "ok  msgspec" in out
    assert status in (0, 1)


def test_a_reader_that_closes_the_pipe_is_no_error(tmp_path):
    write_run(tmp_path, steps=4000)
    done = subprocess.run(
        f"{sys.executable} -m monitor tail toy | head -1",
        shell=True,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (0, "", 1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a disk that is always full")
def test_a_disk_without_room_for_what_is_printed_is_one_line_and_status_2(tmp_path):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "monitor", "rules"],
            env=environment(tmp_path), stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip

    assert (done.returncode, done.stderr) == (2, "bedside: [Errno 28] No space left on device\n")


def test_ctrl_c_is_quiet(tmp_path):
    """A run whose recorder is alive but says nothing keeps `tail` waiting until the person has enough."""
    folder = tmp_path / "live"
    folder.mkdir()
    entry = {
        "run_id": "cccc3333", "name": "silent", "host": os.uname().nodename, "pid": os.getpid(),
        "recorder_pid": os.getpid(), "started_s": 1.0, "file": "", "live": f"ipc://{tmp_path}/l", "ask": f"ipc://{tmp_path}/a",
    }  # fmt: skip
    (folder / "cccc3333.json").write_text(json.dumps(entry))
    process = subprocess.Popen(
        [sys.executable, "-m", "monitor", "tail", "silent"],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "does not answer" in process.stdout.readline()

    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)

    assert (process.returncode, err) == (130, "")


def test_ctrl_c_while_a_command_is_still_starting_is_quiet(monkeypatch):
    def interrupted(_sub):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "COMMANDS", (("watch", interrupted, "watch a run"),))

    assert cli.main([]) == 130


def test_version_is_the_packages(bedside):
    from probe.version import __version__

    assert bedside("--version") == (0, f"bedside {__version__}\n", "")
