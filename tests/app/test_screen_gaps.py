"""Steps whose record was lost are shaded in every chart, and no curve of steps leads across them."""

import pytest
import screen_snapshots as snapshots
from screen_driver import shown

FIRST, LAST = 400, 599
EACH_STEP = ("train/loss", "grad/norm", "lr/0", "rate/samples_per_s")


def lossy(*keys):
    """A thousand steps, of which two hundred are lost; the evaluations at 390 and at 780 are not."""
    views = {}
    for key, view in snapshots.series(1000, spike=False).items():
        kept = (view.steps < FIRST) | (view.steps > LAST)
        views[key] = snapshots.ArrayView(key, view.steps[kept], view.values[kept])
    return snapshots.healthy(steps=1000, series={key: views[key] for key in keys}, gaps=((FIRST, LAST),))


def amid(bedside, name, gutters):
    """The signs of the cells of a chart over the whole screen where the lost steps are."""
    grid = bedside.panel(name)._grid
    window = bedside.app.scene().window(2 * (grid.width - gutters))
    x = 7 + window.column_of((FIRST + LAST) // 2) // 2
    return set(map(chr, grid.codes[1 : grid.height - 2, x].tolist()))


@pytest.mark.parametrize(
    ("keys", "name", "gutters"),
    [("1z", "loss", 15), ("7z", "grad", 9), ("8z", "lr", 9), ("9z", "rate", 9), ("wz", "wall", 9)],
)
async def test_no_curve_of_steps_leads_across_lost_ones(keys, name, gutters):
    async with shown(lossy(*EACH_STEP)) as bedside:
        await bedside.press(*keys)
        assert amid(bedside, name, gutters) == {"░"}


@pytest.mark.parametrize(("keys", "name", "gutters"), [("1z", "loss", 15), ("wz", "wall", 9)])
async def test_the_line_between_two_evaluations_goes_on_across_lost_steps(keys, name, gutters):
    async with shown(lossy("train/loss", "val/loss")) as bedside:
        await bedside.press(*keys)
        signs = amid(bedside, name, gutters)
        assert len(signs) == 2
        assert "░" in signs
