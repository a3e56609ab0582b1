"""What is painted again, and what is not."""

import screen_snapshots as snapshots
from screen_driver import shown

from monitor.app import terminal
from monitor.model import Link, RunState


def watch_repaints(bedside, monkeypatch):
    """Every region that a panel asks to have painted from now on, with the panel's name."""
    asked = []
    for name, panel in bedside.app._stage.panels.items():
        monkeypatch.setattr(
            panel, "refresh", lambda *regions, _name=name, **_: asked.extend((_name, region) for region in regions)
        )
    return asked


async def test_nothing_new_repaints_only_the_age(monkeypatch):
    async with shown(snapshots.healthy()) as bedside:
        asked = watch_repaints(bedside, monkeypatch)
        bedside.now_s += 2
        bedside.app.tick()
        assert [name for name, _ in asked] == ["header"]
        region = asked[0][1]
        assert (region.height, region.width) == (1, 2)


async def test_within_a_second_nothing_is_repainted(monkeypatch):
    async with shown(snapshots.healthy()) as bedside:
        asked = watch_repaints(bedside, monkeypatch)
        bedside.now_s += 0.25
        bedside.app.tick()
        assert asked == []


async def test_a_finished_run_repaints_nothing_at_all(monkeypatch):
    async with shown(snapshots.finished()) as bedside:
        asked = watch_repaints(bedside, monkeypatch)
        for _ in range(3):
            bedside.now_s += 1000
            bedside.app.tick()
        assert asked == []


async def test_one_more_step_repaints_a_small_part_of_the_screen(monkeypatch):
    before = snapshots.healthy(steps=12_800)
    async with shown(before) as bedside:
        asked = watch_repaints(bedside, monkeypatch)
        bedside.snapshot = snapshots.newer(snapshots.healthy(steps=12_801), version=2)
        bedside.app.tick()
        cells = sum(region.width * region.height for _, region in asked)
        assert 0 < cells < 120 * 40 / 10


async def test_a_new_snapshot_of_the_same_data_repaints_nothing(monkeypatch):
    async with shown(snapshots.alarming()) as bedside:
        asked = watch_repaints(bedside, monkeypatch)
        bedside.snapshot = snapshots.newer(bedside.snapshot)
        bedside.app.tick()
        assert asked == []


async def test_the_bell_rings_once_for_a_critical_alert_that_comes_while_one_watches(monkeypatch):
    calm = snapshots.healthy(alerts=(snapshots.OVERFITTING,))
    async with shown(calm) as bedside:
        rung = []
        monkeypatch.setattr(bedside.app, "bell", lambda: rung.append(1))
        await bedside.tick(snapshots.newer(calm, alerts=(*calm.alerts, snapshots.SPIKE)))
        await bedside.tick(snapshots.newer(bedside.snapshot))
        assert rung == [1]


async def test_alerts_that_come_with_the_history_do_not_ring(monkeypatch):
    async with shown(snapshots.loading()) as bedside:
        rung = []
        monkeypatch.setattr(bedside.app, "bell", lambda: rung.append(1))
        await bedside.tick(snapshots.newer(snapshots.alarming(), link=Link.LOADING))
        await bedside.tick(snapshots.newer(bedside.snapshot, link=Link.LIVE))
        assert rung == []


def test_the_title_of_the_window_says_state_name_and_progress():
    assert terminal.title_for(snapshots.alarming()) == "✗ r07 32%"
    assert terminal.title_for(snapshots.healthy(state=RunState.PAUSED)) == "‖ r07 32%"
    assert terminal.title_for(snapshots.one_step()) == "● r07 1"
    assert terminal.title_for(snapshots.waiting()) == "bedside"


def test_a_changed_span_is_sent_from_where_it_begins():
    from rich.console import Console
    from rich.segment import Segment
    from textual._compositor import ChopsUpdate
    from textual.strip import Strip

    terminal.crop_updates_on_the_left()
    chops = [{0: Strip([Segment("abcdefghij")]), 10: Strip([Segment("klmno")])}]
    update = ChopsUpdate(chops, [(0, 4, 12)], [[10, 15]])
    sent = update.render_segments(Console(color_system=None))
    assert sent == "\x1b[1;5Hefghij\x1b[1;11Hkl"


async def test_a_table_waits_for_its_time_and_then_catches_up_without_further_news(monkeypatch):
    async with shown(snapshots.healthy()) as bedside:
        asked = watch_repaints(bedside, monkeypatch)
        bedside.now_s += 0.25
        bedside.snapshot = snapshots.newer(bedside.snapshot, val_classes=snapshots.classes(seed=6))
        bedside.app.tick()
        assert "classes" not in {name for name, _ in asked}
        bedside.now_s += 2.0
        bedside.app.tick()
        assert "classes" in {name for name, _ in asked}


async def test_an_alert_that_comes_does_not_wait_but_its_age_does(monkeypatch):
    calm = snapshots.healthy(alerts=())
    async with shown(calm) as bedside:
        asked = watch_repaints(bedside, monkeypatch)
        bedside.now_s += 0.25
        bedside.snapshot = snapshots.newer(calm, alerts=(snapshots.SPIKE,))
        bedside.app.tick()
        assert "alerts" in {name for name, _ in asked}
        drawn = bedside.panel("alerts")._grid
        bedside.now_s += 0.25
        bedside.snapshot = snapshots.newer(bedside.snapshot, step=bedside.snapshot.step + 1)
        bedside.app.tick()
        assert bedside.panel("alerts")._grid is drawn
        bedside.now_s += 1.0
        bedside.app.tick()
        assert bedside.panel("alerts")._grid is not drawn


async def test_the_last_data_of_a_run_are_drawn_although_nothing_follows(monkeypatch):
    async with shown(snapshots.healthy()) as bedside:
        asked = watch_repaints(bedside, monkeypatch)
        bedside.now_s += 0.25
        bedside.snapshot = snapshots.newer(snapshots.finished(), version=9, val_classes=snapshots.classes(seed=6))
        bedside.app.tick()
        bedside.now_s += 2.0
        bedside.app.tick()
        assert "classes" in {name for name, _ in asked}
        asked.clear()
        bedside.now_s += 2.0
        bedside.app.tick()
        assert asked == []
