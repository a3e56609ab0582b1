"""The wall of charts, other runs under the charts, and who is ahead."""

import numpy as np
import pytest
import screen_snapshots as snapshots
from screen_driver import shown

from monitor.app import compare
from monitor.app.panels.wall import charts_of
from monitor.app.window import Window
from monitor.model import Link


def slower(by, steps=12_843, *, run_id="22222222", model="resnet18", pace=1.0):
    """A run that comes to every loss ``by`` times later."""
    at = np.arange(1, steps + 1)
    loss = {"train/loss": snapshots.ArrayView("train/loss", at, 0.35 + 1.95 * np.exp(-at / by / 4000))}
    return snapshots.healthy(
        steps=steps,
        series=loss,
        hello=snapshots.hello(run_id=run_id, name="r05-base", model=model),
        clock=snapshots.ArrayView("clock", [1, steps], [snapshots.STARTED_S, snapshots.STARTED_S + steps * pace]),
    )


def shelf(**runs):
    """Opens these runs; any other is not there."""
    return {"22222222": runs.get("base"), "33333333": runs.get("failed"), "11111111": runs.get("live")}.get


def test_training_and_validation_of_one_quantity_share_a_chart():
    charts = charts_of(snapshots.healthy())
    assert [chart.name for chart in charts[:6]] == [
        "loss", "grad/norm", "lr", "accuracy", "rate/samples_per_s", "time/step_s",
    ]  # fmt: skip
    assert charts[0].keys == ("train/loss", "val/loss")


async def test_w_shows_a_wall_and_w_goes_back():
    async with shown(snapshots.healthy(), (80, 24)) as bedside:
        before = bedside.text
        await bedside.press("w")
        assert bedside.text.count("╭─") == 6
        assert "page 1 of 2" in bedside.text
        await bedside.press("w")
        assert bedside.text == before


async def test_n_and_p_turn_the_pages_of_the_wall():
    async with shown(snapshots.healthy(), (80, 24)) as bedside:
        await bedside.press("w", "n")
        assert "page 2 of 2" in bedside.text
        assert "memory/rss_bytes" in bedside.text
        await bedside.press("p")
        assert "page 1 of 2" in bedside.text


async def test_z_on_the_wall_shows_the_selected_chart_alone():
    async with shown(snapshots.healthy(), (80, 24)) as bedside:
        await bedside.press("w", "j", "z")
        assert bedside.text.count("╭─") == 1
        assert "╭─ grad/norm" in bedside.text


async def test_a_click_selects_a_chart_of_the_wall():
    async with shown(snapshots.healthy(), (80, 24)) as bedside:
        await bedside.press("w")
        await bedside.pilot.click("#wall", offset=(50, 9))
        assert bedside.panel("wall").cursor == "accuracy"


async def test_a_click_where_the_filter_has_left_no_chart_selects_none():
    async with shown(snapshots.healthy(), (80, 24)) as bedside:
        await bedside.press("w", "slash", *"zzz", "enter")
        await bedside.pilot.click("#wall", offset=(50, 9))
        assert "no charts" in bedside.text
        assert bedside.panel("wall").selected is None


async def test_a_click_on_the_chart_that_is_shown_alone_selects_no_other():
    async with shown(snapshots.healthy(), (80, 24)) as bedside:
        await bedside.press("w", "j", "z")
        await bedside.pilot.click("#wall", offset=(50, 9))
        assert "╭─ grad/norm" in bedside.text
        assert bedside.panel("wall").selected == "grad/norm"


def evaluated(at, values):
    """A run with these evaluations, far above every value of its training."""
    loss = snapshots.series(spike=False)["train/loss"]
    return snapshots.healthy(series={"train/loss": loss, "val/loss": snapshots.ArrayView("val/loss", at, values)})


def cells_of_validation(bedside):
    """The text of the cells below the frame of the wall's one chart that are drawn in the ink of validation."""
    grid = bedside.panel("wall")._grid
    inked = (grid.pens == bedside.app._palette.pen("val"))[1:]
    return "".join(map(chr, grid.codes[1:][inked].tolist()))


async def test_one_evaluation_is_a_point_on_the_wall_and_two_are_a_line():
    async with shown(evaluated([6000], [9.0]), (80, 24)) as bedside:
        await bedside.press("w")
        assert cells_of_validation(bedside) == "•"
        bedside.now_s += 2
        await bedside.tick(snapshots.newer(evaluated([3000, 9000], [9.0, 9.0])))
        assert len(cells_of_validation(bedside)) == 15
        assert "•" not in bedside.text


async def test_the_wall_has_the_runs_beside_it_where_there_is_room():
    async with shown(snapshots.healthy(), (120, 40)) as bedside:
        await bedside.press("w")
        assert "╭─ runs" in bedside.text


async def test_space_lays_the_selected_run_under_the_loss_and_takes_it_away():
    async with shown(snapshots.healthy(), open_run=shelf(base=slower(2))) as bedside:
        await bedside.press("6", "j", "j", "space")
        assert "r05-base" in next(line for line in bedside.lines if line.startswith("╰") and "━" in line)
        await bedside.press("space")
        assert bedside.app.view.overlay == ()


async def test_the_run_itself_cannot_be_laid_under_itself():
    async with shown(snapshots.healthy()) as bedside:
        await bedside.press("6", "space")
        assert bedside.app.view.overlay == ()
        assert "that is the run that is shown" in bedside.lines[-1]


async def test_o_finds_the_best_earlier_run_of_the_same_model():
    other = slower(2, model="vgg11", run_id="22222222")
    rows = (*snapshots.RUNS[:3], snapshots.RunRow("44444444", "r03", snapshots.RunState.FINISHED, 9, 0.34, 0.0))
    opened = {"22222222": other, "44444444": slower(2, run_id="44444444")}
    async with shown(snapshots.healthy(runs=rows), open_run=opened.get) as bedside:
        await bedside.press("o")
        assert [one.name for one in bedside.app.scene().others] == ["r03"]


async def test_without_an_earlier_run_o_says_so():
    async with shown(snapshots.healthy(runs=snapshots.RUNS[:2])) as bedside:
        await bedside.press("o")
        assert "no earlier run of this machine is over" in bedside.lines[-1]


async def test_a_run_that_is_still_read_is_drawn_when_more_of_it_is_there():
    opened = {"22222222": None}
    async with shown(snapshots.healthy(), open_run=opened.get) as bedside:
        await bedside.press("o")
        assert "r05-base ever was" not in bedside.text
        opened["22222222"] = slower(2)
        await bedside.tick()
        assert "lower than r05-base ever was" in bedside.text


def test_a_run_that_takes_twice_as_long_is_behind_by_as_many_steps():
    other = compare.Other("x", "r05", "other", slower(1, steps=2000))
    assert compare.lead(slower(2, steps=1600), other, "train/loss", 0.0) == "800 steps behind r05"
    other = compare.Other("x", "r05", "other", slower(2, steps=2000))
    assert compare.lead(slower(1, steps=900), other, "train/loss", 0.0) == "900 steps ahead of r05"


def test_a_loss_that_the_other_run_never_had_is_said_so():
    theirs = compare.Other("x", "r05", "other", slower(1, steps=100))
    assert compare.lead(slower(1), theirs, "train/loss", 0.0) == "lower than r05 ever was"


def test_runs_are_aligned_by_time_where_that_is_chosen():
    ours, other = slower(1, steps=1000, pace=1.0), slower(1, steps=4000, pace=0.25)
    window = Window(1, 10, 100)
    by_step = compare.aligned(ours, other, "step", "train/loss", window)
    by_time = compare.aligned(ours, other, "time", "train/loss", window)
    theirs = other.series["train/loss"].values
    assert by_step[50] == pytest.approx(theirs[500:510].mean())
    assert by_time[50] == pytest.approx(theirs[4 * 505], abs=2e-2)


def test_runs_are_aligned_by_epoch_where_both_have_them():
    ours = slower(1, steps=1000)
    ours = snapshots.newer(ours, epochs=tuple((100 * e + 1, float(e)) for e in range(10)))
    other = snapshots.newer(slower(1, steps=5000), epochs=tuple((500 * e + 1, float(e)) for e in range(10)))
    means = compare.aligned(ours, other, "epoch", "train/loss", Window(1, 10, 100))
    theirs = other.series["train/loss"].values
    assert means[50] == pytest.approx(theirs[5 * 505], abs=2e-2)


async def test_the_wall_draws_other_runs_too_and_a_link_that_is_lost_keeps_it():
    snapshot = snapshots.healthy(link=Link.LOST)
    async with shown(snapshot, open_run=shelf(base=slower(2))) as bedside:
        await bedside.press("w")
        alone = bedside.panel("wall")._grid.pens.copy()
        await bedside.press("o")
        assert (bedside.panel("wall")._grid.pens != alone).any()
