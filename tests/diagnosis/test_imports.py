"""Other people's logs: told apart by content, read whatever their columns are called."""

import gzip
import json

import numpy as np
import pytest

from monitor import rows
from monitor.feeds.imports import LogError, read_log
from probe import wire


def series(run) -> dict[str, list[tuple[int, float]]]:
    """Every point of a run: step and value by series."""
    found: dict[str, list[tuple[int, float]]] = {}
    for message in run.messages:
        if isinstance(message, wire.Batch):
            assert rows.flaw(message) is None
            for key in message.scalars:
                steps, values = rows.points_of(message, key)
                found.setdefault(key, []).extend(zip(steps.tolist(), values.tolist(), strict=True))
    return found


def only(path, given=None):
    (run,) = read_log(path, given)
    return run


def batches(run) -> list[wire.Batch]:
    return [message for message in run.messages if isinstance(message, wire.Batch)]


def write(path, text):
    path.write_text(text)
    return path


def test_jsonl_with_nested_objects(tmp_path):
    log = write(tmp_path / "a.log", '{"step": 1, "train": {"loss": 2.5}}\n{"step": 2, "train": {"loss": 2.0}}\n')
    run = only(log)
    assert (run.name, run.step_unit) == ("a", "step")
    assert series(run) == {"train/loss": [(1, 2.5), (2, 2.0)]}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_with_any_delimiter(tmp_path, delimiter):
    text = "Epoch,Train Loss,val_loss,lr\n0,2.5,2.6,0.1\n1,2.0,2.2,0.1\n".replace(",", delimiter)
    run = only(write(tmp_path / "log.csv", text))
    assert run.step_unit == "epoch"
    assert series(run) == {
        "train/loss": [(0, 2.5), (1, 2.0)],
        "val/loss": [(0, 2.6), (1, 2.2)],
        "lr/0": [(0, 0.1), (1, 0.1)],
    }


def test_gzip_is_told_by_content(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(gzip.compress(b"step,loss\n1,2.5\n"))
    assert series(only(path)) == {"train/loss": [(1, 2.5)]}


def test_an_empty_cell_is_no_value_and_words_are_numbers(tmp_path):
    run = only(write(tmp_path / "a.csv", "step,loss,val_loss\n1,2.5,\n2,nan,1.5\n3,-inf,\n"))
    points = series(run)
    assert points["val/loss"] == [(2, 1.5)]
    assert str(points["train/loss"]) == "[(1, 2.5), (2, nan), (3, -inf)]"


def test_an_empty_row_is_a_row_and_text_is_no_number(tmp_path):
    run = only(write(tmp_path / "a.jsonl", '{"step": 1, "loss": "n/a"}\n{"step": 2, "loss": 1.0, "note": "x"}\n'))
    assert series(run) == {"train/loss": [(2, 1.0)]}


def test_named_columns_come_before_guessed_ones(tmp_path):
    log = write(tmp_path / "a.csv", "step,loss,ce\n1,9,2.5\n")
    assert series(only(log, {"loss": "ce"})) == {"train/loss": [(1, 2.5)]}


def test_percentages_become_shares(tmp_path):
    run = only(write(tmp_path / "a.csv", "step,loss,acc\n1,2.5,10\n2,2.0,55\n"))
    assert series(run)["train/accuracy"] == [(1, 0.1), (2, 0.55)]


def test_an_error_rate_and_a_reward_are_no_accuracy(tmp_path):
    falls = "step,loss,acc\n" + "".join(f"{i},{3 - i / 10},{1.2 - i / 20}\n" for i in range(20))
    reward = "step,loss,acc\n" + "".join(f"{i},1.0,{i * 10 - 300}\n" for i in range(20))
    assert list(series(only(write(tmp_path / "a.csv", falls)))) == ["train/loss"]
    assert list(series(only(write(tmp_path / "b.csv", reward)))) == ["train/loss"]


def test_several_runs_in_one_file(tmp_path):
    log = write(tmp_path / "a.csv", "run,step,loss\nx,1,2.5\ny,1,3.5\nx,2,2.0\n")
    assert [(run.name, series(run)["train/loss"]) for run in read_log(log)] == [
        ("x", [(1, 2.5), (2, 2.0)]),
        ("y", [(1, 3.5)]),
    ]


def test_a_step_number_that_goes_back_is_marked_as_a_resumption(tmp_path):
    run = only(write(tmp_path / "a.csv", "step,loss\n1,3\n2,2\n3,1\n2,2\n3,1\n"))
    marks = [mark for message in batches(run) for mark in message.marks]
    assert [(mark.step, mark.kind) for mark in marks] == [(2, "resume")]
    assert len(series(run)["train/loss"]) == 5


def test_a_step_number_that_starts_again_each_epoch_counts_rows(tmp_path):
    log = write(tmp_path / "a.csv", "epoch,step,loss\n0,1,3\n0,2,2\n1,1,1\n1,2,1\n")
    run = only(log)
    assert run.step_unit == "row"
    assert [step for step, _ in series(run)["train/loss"]] == [1, 2, 3, 4]


def test_a_last_line_cut_short_is_passed_over(tmp_path):
    assert (
        len(series(only(write(tmp_path / "a.jsonl", '{"step": 1, "loss": 2}\n{"step": 2, "lo')))["train/loss"]) == 1
    )
    assert len(series(only(write(tmp_path / "a.csv", "step,loss,lr\n1,2,0.1\n2,1")))["train/loss"]) == 1


def test_long_logs_come_in_batches_value_for_value(tmp_path):
    values = np.random.default_rng(0).random(1000)
    log = write(
        tmp_path / "a.jsonl", "".join(json.dumps({"step": i, "loss": v}) + "\n" for i, v in enumerate(values))
    )
    run = only(log)
    assert [message.seq for message in batches(run)] == [1, 2, 3, 4]
    assert [value for _, value in series(run)["train/loss"]] == values.tolist()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty; a log has one row a step or epoch"),
        (b"step,loss\n", "no row in it; a log has one row a step or epoch"),
        (b"\xff\xfe\x00", "binary, and no Bedside run file; JSONL and CSV logs can be read, plain or gzipped"),
        (b'{"step": 1}\n[2]\n{"a": 1}\n', "line 2 is JSON, but no object; one object a line is expected"),
        (b'{"step": 1}\nhello\n{"a": 1}\n', "line 2 is no JSON; one object a line is expected"),
        (
            b"a,b\n1,2\n",
            "no loss, accuracy, learning rate or gradient norm in it; it has columns 'a', 'b'; --map names one",
        ),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(tmp_path, content, message):
    path = tmp_path / "log"
    path.write_bytes(content)
    with pytest.raises(LogError) as error:
        read_log(path)
    assert str(error.value) == message


def test_a_damaged_gzip_file(tmp_path):
    path = tmp_path / "log.gz"
    path.write_bytes(gzip.compress(b"step,loss\n1,2\n" * 100)[:-20])
    with pytest.raises(LogError, match="damaged gzip file"):
        read_log(path)


def test_a_mapping_to_what_is_not_there(tmp_path):
    log = write(tmp_path / "a.csv", "step,ce\n1,2.5\n")
    with pytest.raises(LogError, match="--map loss=train/ce: no column 'train/ce'; it has columns 'step', 'ce'"):
        read_log(log, {"loss": "train/ce"})
    with pytest.raises(LogError, match="--map losss=ce: unknown series 'losss'; known are step, epoch, loss"):
        read_log(log, {"losss": "ce"})


def test_a_folder(tmp_path):
    with pytest.raises(LogError, match="it is a folder; give the file in it"):
        read_log(tmp_path)
