"""What a rule is given of a series ends at the row that the engine has come to, and leaves out what is not finite."""

import numpy as np

from monitor.engine.series import Series


def series(values, rows=None, settled=False):
    """A series after one batch whose steps are counted from 1; its points are in the first rows, or in ``rows``."""
    made, index = Series(), np.arange(len(values), dtype=np.uint32) if rows is None else np.array(rows, np.uint32)
    made.append(index + 1, np.array(values), index)
    if settled:
        made.settle()
    return made


def test_it_ends_at_the_row():
    assert series([1.0, 2.0, 3.0, 4.0]).newest(3, 2).values.tolist() == [2.0, 3.0]


def test_points_that_come_seldom_are_counted_by_their_rows():
    seldom = series([1.0, 2.0, 3.0], rows=[0, 2, 5])
    assert [seldom.upto(rows) for rows in range(7)] == [0, 1, 1, 2, 2, 2, 3]
    assert seldom.newest(5, 8).steps.tolist() == [1, 3]


def test_a_batch_that_is_judged_is_past_as_a_whole():
    assert series([1.0, 2.0, 3.0], rows=[0, 2, 5], settled=True).newest(0, 8).values.tolist() == [1.0, 2.0, 3.0]


def test_what_is_not_finite_is_left_out():
    assert series([1.0, np.nan, 3.0, np.inf, 5.0]).newest_finite(5, 4).values.tolist() == [3.0, 5.0]
    assert series([1.0, np.nan, 3.0, np.inf, 5.0]).newest_finite(3, 4).values.tolist() == [1.0, 3.0]


def test_a_window_in_which_all_is_finite_is_a_view_and_no_copy():
    made = series([np.nan, 2.0, 3.0, 4.0])
    assert np.shares_memory(made.newest_finite(4, 3).values, made.newest(4, 3).values)
    assert not np.shares_memory(made.newest_finite(4, 4).values, made.newest(4, 4).values)
