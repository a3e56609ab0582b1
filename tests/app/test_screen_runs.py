"""Another run of the list on the same screen, and back."""

import screen_snapshots as snapshots
from screen_driver import shown

from monitor.app.panels.runs import RunsPanel
from monitor.app.visit import Visit
from monitor.model import Link, RunState

BASE = snapshots.healthy(
    hello=snapshots.hello(run_id="22222222", name="r05-base", control=["pause"]),
    steps=900,
    state=RunState.FINISHED,
    link=Link.FILE,
    runs=(),
)


def opened(**changes):
    """The runs that can be read: one; the others of the list are gone."""
    return {"22222222": snapshots.newer(BASE, **changes)}.get


async def test_enter_opens_the_selected_run_and_backspace_goes_back():
    async with shown(snapshots.alarming(), open_run=opened()) as bedside:
        await bedside.press("6", "j", "j", "enter")
        assert "r05-base" in bedside.lines[0]
        assert "step 900" in bedside.text
        assert "bksp: back to the run before" in bedside.lines[-1]
        assert [run.run_id for run in bedside.app.snapshot.runs if run.current] == ["22222222"]
        await bedside.press("backspace")
        assert "r07" in bedside.lines[0]
        assert "step 12,843" in bedside.text


async def test_enter_on_the_run_that_the_screen_began_with_goes_back_too():
    async with shown(snapshots.alarming(), open_run=opened()) as bedside:
        await bedside.press("6", "j", "j", "enter", "g", "enter")
        assert "r07" in bedside.lines[0]


async def test_a_second_click_on_a_run_opens_it_and_one_beside_the_list_does_not():
    async with shown(snapshots.alarming(), open_run=opened()) as bedside:
        y = next(y for y, line in enumerate(bedside.lines) if "r05-base" in line)
        await bedside.pilot.click(offset=(90, y))
        await bedside.pilot.click(offset=(90, bedside.panel("runs").region.bottom - 1))
        assert "r07" in bedside.lines[0]
        await bedside.pilot.click(offset=(90, y))
        assert "r05-base" in bedside.lines[0]


async def test_what_was_looked_at_in_one_run_is_not_looked_for_in_another_and_is_there_again():
    looks = {}
    async with shown(
        snapshots.alarming(), open_run=opened(), recall=looks.get, remember=looks.__setitem__
    ) as bedside:
        await bedside.press("2", "a", "enter", "l", "6", "j", "j", "space", "enter")
        view = bedside.app.view
        assert (view.focus, view.held, view.cross, view.overlay, view.attention.seen) == (
            "runs",
            None,
            None,
            (),
            set(),
        )
        assert not view.log
        await bedside.press("backspace")
        assert bedside.app.view.attention.seen == {snapshots.SPIKE.id}
        assert set(looks) == {"0badcafe", "22222222"}
        assert looks["22222222"].step == 900


async def test_a_run_that_was_looked_at_before_is_opened_as_it_was_and_the_focus_stays():
    before = Visit(time_s=snapshots.WALL.timestamp(), step=900, focus="layers", smoothing=0.6)
    looks = {"22222222": before}
    async with shown(snapshots.alarming(), open_run=opened(), recall=looks.get) as bedside:
        await bedside.press("6", "j", "j", "enter")
        assert (bedside.app.view.focus, bedside.app.view.smoothing) == ("runs", 0.6)


async def test_the_alerts_that_another_run_has_do_not_ring(monkeypatch):
    sick = opened(alerts=(snapshots.SPIKE,), state=RunState.TRAINING, link=Link.LIVE)
    rung = []
    async with shown(snapshots.healthy(), open_run=sick) as bedside:
        monkeypatch.setattr(bedside.app, "bell", lambda: rung.append(1))
        await bedside.press("6", "j", "j", "enter")
        assert "exploding-gradient" in bedside.text
        assert rung == []


async def test_a_run_that_is_gone_is_said_to_be_and_the_one_shown_stays():
    async with shown(snapshots.alarming(), open_run=opened()) as bedside:
        await bedside.press("6", "j", "enter")
        assert "that run cannot be read from here" in bedside.lines[-1]
        assert "r07" in bedside.lines[0]


async def test_the_run_that_is_shown_is_not_opened_again():
    async with shown(snapshots.alarming(), open_run=opened()) as bedside:
        await bedside.press("6", "enter")
        assert "that is the run that is shown" in bedside.lines[-1]


def walked(panel, by, moves):
    """Where the cursor is after each of so many moves."""
    places = []
    for _ in range(moves):
        panel.move(by)
        places.append(panel.index)
    return places


def test_the_cursor_walks_a_list_whatever_its_items_are():
    panel = RunsPanel(id="runs")
    panel.items = ["a", "b", "b", "b", "a"]
    assert walked(panel, 1, 5) == [1, 2, 3, 4, 4]
    assert walked(panel, -1, 5) == [3, 2, 1, 0, 0]
    assert walked(panel, 2, 3) == [2, 4, 4]


def test_the_cursor_stays_with_its_item_when_the_order_changes():
    panel = RunsPanel(id="runs")
    panel.items = ["a", "b", "c"]
    panel.move(1)
    panel.items = ["b", "c", "a"]
    assert (panel.index, panel.selected) == (0, "b")


def test_an_empty_list_has_nothing_selected_wherever_its_cursor_was():
    panel = RunsPanel(id="runs")
    panel.items = ["a", "b"]
    panel.move(1)
    panel.items = []
    panel.move(1)
    assert (panel.index, panel.selected, panel.is_selected_at(1)) == (0, None, False)


async def test_j_comes_to_the_last_of_several_runs_of_one_id():
    rows = (*[snapshots.RUNS[0]] * 3, snapshots.RUNS[2])
    async with shown(snapshots.alarming(runs=rows), open_run=opened()) as bedside:
        await bedside.press("6", "j", "j", "j", "enter")
        assert "r05-base" in bedside.lines[0]
