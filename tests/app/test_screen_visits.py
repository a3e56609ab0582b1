"""Coming back to a run: how it was looked at, and what happened since."""

import screen_snapshots as snapshots
from screen_driver import shown

from monitor.app.visit import Visit
from monitor.commands.visits import Visits
from monitor.model import Link

NOW = snapshots.WALL.timestamp()
BEFORE = Visit(time_s=NOW - 3 * 3600, step=10_000, train=0.52, val=0.61, alerts=(1, 5))


async def test_what_happened_since_the_last_look_is_told_in_two_lines_until_escape():
    async with shown(snapshots.alarming(), recall=lambda _: BEFORE) as bedside:
        first, second = bedside.lines[2:4]
        assert first.startswith(" since you left 3h ago: 2,843 steps · train 0.5200 → ")
        assert "val 0.6100 → 0.6075" in first
        assert second.startswith(
            " new: ✗ exploding-gradient at 12,470, ▲ overfitting at 11,310, ▲ dead-units at 12,000"
        )
        assert "7 evaluations" in second
        await bedside.press("escape")
        assert "since you left" not in bedside.text


async def test_on_a_small_screen_they_stand_under_the_alarm():
    async with shown(snapshots.alarming(), (80, 24), recall=lambda _: BEFORE) as bedside:
        assert bedside.lines[2].startswith(" ✗ exploding-gradient")
        assert bedside.lines[5].startswith(" since you left 3h ago")


async def test_nothing_is_told_of_a_minute_or_of_a_run_that_stood_still():
    for before in (
        Visit(time_s=NOW - 59, step=10),
        Visit(time_s=NOW - 9999, step=12_843, alerts=(1, 2, 3, 4, 5)),
    ):
        async with shown(snapshots.alarming(), recall=lambda _, before=before: before) as bedside:
            assert "since you left" not in bedside.text


async def test_it_is_told_once_the_history_is_there():
    async with shown(snapshots.alarming(link=Link.LOADING, loaded=0.4), recall=lambda _: BEFORE) as bedside:
        assert "since you left" not in bedside.text
        await bedside.tick(snapshots.newer(bedside.snapshot, link=Link.LIVE, loaded=1.0))
        assert "since you left 3h ago: 2,843 steps" in bedside.text


async def test_a_run_is_looked_at_as_last_time():
    before = Visit(time_s=NOW, step=12_843, focus="layers", log=False, smoothing=0.6, theme="paper", seen=(4,))
    async with shown(snapshots.alarming(), recall=lambda _: before, theme="night") as bedside:
        assert "loss linear ema .60" in bedside.text
        assert bedside.app.view.focus == "layers"
        assert "seen" in bedside.text


async def test_what_another_version_remembered_is_as_it_comes():
    before = Visit(time_s=NOW, step=1, focus="wall", smoothing=0.7, range="last 9k")
    async with shown(snapshots.alarming(), recall=lambda _: before) as bedside:
        assert (bedside.app.view.focus, bedside.app.view.smoothing, bedside.app.view.range) == ("loss", 0.9, "all")
        await bedside.press("s", "right_square_bracket")


async def test_what_was_chosen_and_seen_is_remembered_on_leaving():
    kept = {}
    async with shown(snapshots.alarming(), remember=kept.__setitem__) as bedside:
        await bedside.press("l", "a", "q")
    visit = kept["0badcafe"]
    assert (visit.step, visit.log, visit.seen, visit.alerts) == (12_843, False, (4,), (1, 2, 3, 4, 5))


async def test_a_theme_is_remembered_only_if_the_person_chose_it():
    kept = {}
    async with shown(snapshots.healthy(), remember=kept.__setitem__, theme="night") as bedside:
        bedside.app.keep()
        assert kept["0badcafe"].theme is None
        await bedside.press("t")
        bedside.app.keep()
        assert kept["0badcafe"].theme == bedside.app._palette.name != "night"


async def test_a_look_that_ends_while_the_history_loads_forgets_nothing():
    kept = {}
    loading = snapshots.loading()
    async with shown(loading, recall=lambda _: BEFORE, remember=kept.__setitem__) as bedside:
        await bedside.press("q")
    assert kept == {}


def test_a_look_is_a_file_beside_the_runs(tmp_path):
    visits = Visits(tmp_path / "screen")
    visits.remember("0badcafe", BEFORE)
    assert visits.recall("0badcafe") == BEFORE
    assert [path.name for path in (tmp_path / "screen").iterdir()] == ["0badcafe.json"]


def test_a_damaged_look_a_missing_one_and_an_id_that_is_a_path_are_none(tmp_path):
    visits = Visits(tmp_path)
    (tmp_path / "0badcafe.json").write_text('{"time_s": "yesterday"}')
    assert visits.recall("0badcafe") is None
    assert visits.recall("unknown") is None
    visits.remember("../escape", BEFORE)
    assert not (tmp_path.parent / "escape.json").exists()


def test_a_folder_that_cannot_be_written_costs_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    Visits(tmp_path / "file" / "screen").remember("0badcafe", BEFORE)
