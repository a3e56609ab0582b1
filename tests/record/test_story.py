import shutil

import pytest
from earlier_runs import write

from monitor.record.story import before
from monitor.rows import steps_of
from probe import wire

GO_ON = {"schema": 1, "run_id": "bbbbbbbb", "name": "story", "started_s": 1.8e9, "resumes": "aaaaaaaa"}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path))


def steps_before(first_step: int) -> list[int]:
    messages = before(wire.Hello(**GO_ON, rank=1, first_step=first_step))
    return [int(step) for message in messages for step in steps_of(message)]


@pytest.mark.parametrize(("first_step", "expected"), [
    (180, [*range(1, 101), *range(131, 181)]),
    (110, [*range(1, 101)]),
    (90, [*range(1, 91)]),
])  # fmt: skip
def test_a_rank_that_was_entered_twice_has_both_parts_before_the_step_at_which_it_was_resumed(first_step, expected):
    write("aaaaaaaa", 1, 100, rank=1)
    write("aaaaaaaa", 131, 200, rank=1, first_step=130)

    assert steps_before(first_step) == expected


def test_of_a_rank_that_went_on_from_an_earlier_step_the_later_part_counts():
    write("aaaaaaaa", 1, 100, rank=1)
    write("aaaaaaaa", 81, 90, rank=1, first_step=80)

    assert steps_before(200) == [*range(1, 91)]


@pytest.mark.parametrize("first_step", [80, 95])
def test_beside_a_copy_of_a_file_nothing_comes_twice(first_step):
    write("cccccccc", 1, 100, rank=1)
    path = write("aaaaaaaa", 81, 120, rank=1, resumes="cccccccc", first_step=80)
    shutil.copy(path, path.with_name(path.name.replace("-story-", "-story.again-")))

    assert steps_before(first_step) == [*range(1, first_step + 1)]


def test_an_earlier_part_that_cannot_be_read_is_said_and_the_later_one_is_there():
    write("aaaaaaaa", 1, 100, rank=1).write_text("something else")
    write("aaaaaaaa", 131, 200, rank=1, first_step=130)

    said, later = before(wire.Hello(**GO_ON, rank=1, first_step=140))

    assert said.text.startswith("The run before this one cannot be read: ")
    assert steps_of(later).tolist() == [*range(131, 141)]


def test_a_run_that_is_not_here_is_said():
    assert list(before(wire.Hello(**GO_ON))) == [
        wire.Notice(text="The run before this one, aaaaaaaa, is not on this machine.")
    ]
