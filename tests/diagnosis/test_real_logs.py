"""Logs as the tools write them: the files under ``logs/`` come from the libraries themselves (``logs/write.py``)."""

import gzip
import json
import sys
from pathlib import Path

import pytest

from monitor.commands.diagnose import diagnose
from monitor.feeds.imports import LogError, read_log
from tests.diagnosis.test_imports import batches, only, series, write

LOGS = Path(__file__).parent / "logs"


def counts(run):
    return {key: len(points) for key, points in series(run).items()}


@pytest.mark.parametrize(
    ("name", "unit", "points"),
    [
        ("keras.csv", "epoch", {"train/loss": 12, "val/loss": 12, "train/accuracy": 12, "val/accuracy": 12}),
        ("keras-history.json", "epoch", {"train/loss": 12, "val/loss": 12, "train/accuracy": 12, "val/accuracy": 12}),
        ("keras-stdout.txt", "epoch", {"train/loss": 12, "val/loss": 12, "train/accuracy": 12, "val/accuracy": 12}),
        ("lightning.csv", "step", {"train/loss": 32, "val/loss": 4}),
        ("trainer_state.json", "step", {"train/loss": 24, "val/loss": 3, "lr/0": 24, "grad/norm": 24}),
        ("hugging-face-stdout.txt", "row", {"train/loss": 24, "val/loss": 3, "lr/0": 24, "grad/norm": 24}),
    ],
)
def test_what_is_in_a_log(name, unit, points):
    run = only(LOGS / name)
    assert run.step_unit == unit
    assert counts(run) == points


def test_the_three_logs_of_one_keras_training_say_the_same():
    table, history, printed = (
        series(only(LOGS / name)) for name in ("keras.csv", "keras-history.json", "keras-stdout.txt")
    )
    assert table == history
    assert [value for _, value in printed["val/loss"]] == [round(value, 4) for _, value in table["val/loss"]]


def test_hugging_faces_state_and_its_print_say_the_same():
    state, printed = (series(only(LOGS / name)) for name in ("trainer_state.json", "hugging-face-stdout.txt"))
    said = [value for _, value in printed["train/loss"]]
    assert said == pytest.approx([value for _, value in state["train/loss"]], rel=1e-3)
    assert [step for step, _ in state["val/loss"]] == [16, 32, 48]


def test_the_terms_of_ultralytics_are_summed():
    run = only(LOGS / "ultralytics.csv")
    assert run.step_unit == "epoch"
    assert counts(run) == {"train/loss": 4, "val/loss": 4, "lr/0": 4}
    row = (LOGS / "ultralytics.csv").read_text().splitlines()[1].split(",")
    assert series(run)["train/loss"][0] == (1, pytest.approx(sum(map(float, row[2:5]))))


def test_tensorboard_folder_and_file():
    pytest.importorskip("tensorboard")
    first, second = read_log(LOGS / "tensorboard")
    assert (first.name, second.name) == ("first", "second")
    assert counts(first) == {"train/loss": 40, "val/loss": 4, "lr/0": 40}
    (alone,) = read_log(next((LOGS / "tensorboard" / "first").iterdir()))
    assert series(alone) == series(first)
    assert series(second)["train/loss"][0][1] == pytest.approx(2 * series(first)["train/loss"][0][1])


def test_what_keras_writes_into_two_folders_is_one_run():
    pytest.importorskip("tensorboard")
    (run,) = read_log(LOGS / "keras-tensorboard")
    assert run.name == "keras-tensorboard"
    assert counts(run) == {"train/loss": 12, "val/loss": 12}
    assert [batch.marks for batch in batches(run)] == [[]]


def test_a_tensorboard_file_that_a_crash_cut_short_is_read_as_far_as_it_goes(tmp_path):
    pytest.importorskip("tensorboard")
    whole = next((LOGS / "tensorboard" / "first").iterdir()).read_bytes()
    cut = tmp_path / "events.out.tfevents.0.host"
    cut.write_bytes(whole[: len(whole) // 2])
    assert 5 < counts(only(cut))["train/loss"] < 40


def test_parquet():
    pytest.importorskip("pyarrow")
    assert counts(only(LOGS / "history.parquet")) == {"train/loss": 40, "val/loss": 1, "lr/0": 40}


def test_a_damaged_parquet_file(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "a.parquet"
    path.write_bytes((LOGS / "history.parquet").read_bytes()[:200])
    with pytest.raises(LogError, match="damaged parquet file"):
        read_log(path)


@pytest.mark.parametrize(
    ("package", "name", "message"),
    [
        (
            "tensorboard",
            "tensorboard",
            "a TensorBoard event file; TensorBoard reads it for us: pip install tensorboard",
        ),
        ("pyarrow", "history.parquet", "a parquet file; pyarrow reads it for us: pip install pyarrow"),
    ],
)
def test_a_reader_that_is_not_installed_is_named(monkeypatch, package, name, message):
    for module in [package, *(loaded for loaded in sys.modules if loaded.startswith(f"{package}."))]:
        monkeypatch.setitem(sys.modules, module, None)
    assert diagnose([LOGS / name])["errors"] == [{"source": str(LOGS / name), "message": message}]


def test_wandbs_own_store_is_named():
    with pytest.raises(LogError, match="wandb sync, then export the history as CSV"):
        read_log(LOGS / "offline.wandb")


def test_a_chart_that_wandb_exported_holds_several_runs(tmp_path):
    head = '"Step","calm-sun-1 - train/loss","calm-sun-1 - train/loss__MIN","calm-sun-1 - train/loss__MAX",'
    text = head + '"b - two - train/loss"\n"0","2.5","2.5","2.5","3.5"\n"1","2.0","2.0","2.0",""\n'
    runs = {run.name: series(run) for run in read_log(write(tmp_path / "wandb.csv", text))}
    assert runs == {
        "calm-sun-1": {"train/loss": [(0, 2.5), (1, 2.0)]},
        "b - two": {"train/loss": [(0, 3.5)]},
    }


def test_a_list_of_objects_and_a_single_object(tmp_path):
    rows = [{"step": 1, "train": {"loss": 2.5}}, {"step": 2, "train": {"loss": float("nan")}}]
    assert str(series(only(write(tmp_path / "a.json", json.dumps(rows, indent=1))))) == str(
        {"train/loss": [(1, 2.5), (2, float("nan"))]}
    )
    assert counts(only(write(tmp_path / "b.json", '{"step": 1, "loss": 2.5}'))) == {"train/loss": 1}


def test_json_of_something_else(tmp_path):
    with pytest.raises(LogError, match="no list of objects; one object a step or epoch is expected"):
        read_log(write(tmp_path / "a.json", "[1, 2, 3]"))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"loss": 1}\n' + '{"a":' * 100_000 + "\n"])
def test_json_without_a_bottom(tmp_path, text):
    with pytest.raises(LogError, match="nested too deep"):
        read_log(write(tmp_path / "a.json", text))


def test_an_event_file_of_noise_holds_no_row(tmp_path):
    pytest.importorskip("tensorboard")
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(LogError, match="no row in it"):
        read_log(path)


NANO_GPT = """number of parameters: 10.65M
step 0: train loss 4.2874, val loss 4.2823
iter 0: loss 4.2656, time 46293.43ms, mfu -100.00%
iter 10: loss 3.2436, time 94.10ms, mfu 3.96%
step 20: train loss 2.1, val loss 2.2
iter 20: loss 2.7868, time 94.37ms, mfu 3.96%
"""
MODDED = """step:0/1750 val_loss:10.8258 train_time:0ms step_avg:nanms
step:1/1750 train_loss:10.8258 train_time:120ms step_avg:120.1ms
step:2/1750 train_loss:10.11 train_time:240ms step_avg:120.1ms
"""
IMAGENET = """=> creating model 'resnet18'
Epoch: [0][   1/5005]\tTime  6.5 ( 6.5)\tData  3.1 ( 3.1)\tLoss 7.11e+00 (7.20e+00)\tAcc@1   0.00 (  0.00)
Epoch: [0][  11/5005]\tTime  0.5 ( 1.0)\tData  0.1 ( 0.4)\tLoss 6.98e+00 (7.09e+00)\tAcc@1   0.39 (  0.14)
"""
FAIRSEQ = """2020-01-01 10:00:00 | INFO | train_inner | epoch 001: 100 / 900 loss=9.8, num_updates=100, lr=1e-05
2020-01-01 10:01:00 | INFO | train_inner | epoch 001: 200 / 900 loss=8.1, num_updates=200, lr=2e-05
2020-01-01 10:02:00 | INFO | valid | epoch 001 | valid on 'valid' subset | loss 8.0 | ppl 256 | num_updates 200
"""
TUTORIAL = """Epoch [1/2], Step [100/200], Loss: 0.53
Epoch [1/2], Step [200/200], Loss: nan
Epoch [2/2], Step [100/200], Loss: nan
Epoch [2/2], Step [200/200], Loss: nan
"""


@pytest.mark.parametrize(
    ("text", "unit", "points"),
    [
        (
            NANO_GPT,
            "step",
            {"train/loss": [(0, 4.2656), (10, 3.2436), (20, 2.7868)], "val/loss": [(0, 4.2823), (20, 2.2)]},
        ),
        (MODDED, "step", {"val/loss": [(0, 10.8258)], "train/loss": [(1, 10.8258), (2, 10.11)]}),
        (IMAGENET, "row", {"train/loss": [(1, 7.11), (2, 6.98)]}),
        (
            FAIRSEQ,
            "step",
            {"train/loss": [(100, 9.8), (200, 8.1)], "val/loss": [(200, 8.0)], "lr/0": [(100, 1e-5), (200, 2e-5)]},
        ),
    ],
)
def test_lines_that_a_training_printed(tmp_path, text, unit, points):
    run = only(write(tmp_path / "out.log", text))
    assert (run.step_unit, series(run)) == (unit, points)


def test_a_printed_nan_is_diagnosed_at_its_row(tmp_path):
    path = tmp_path / "slurm-1.out.gz"
    path.write_bytes(gzip.compress(TUTORIAL.encode()))
    (run,) = diagnose([path])["runs"]
    assert run["step_unit"] == "row"
    assert [(alert["rule"], alert["first_step"]) for alert in run["alerts"]] == [("non-finite", 2)]
