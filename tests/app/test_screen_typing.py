"""Keys typed faster than the screen is drawn: each is for what those before it left there, and none is lost."""

import asyncio

import screen_snapshots as snapshots
from screen_driver import shown
from test_screen_interventions import Hand, answered, sick
from textual import events


def type_ahead(bedside, *keys):
    """All at once, as they come from a terminal in one read."""
    for key in keys:
        bedside.app._driver.send_message(events.Key(key, key if len(key) == 1 else None))


async def settled(bedside):
    await bedside.pilot.pause()
    while bedside.app._typed:
        await asyncio.sleep(0.01)
    await bedside.pilot.pause()


async def test_keys_typed_at_once_all_act_in_their_order():
    async with shown(snapshots.alarming()) as bedside:
        type_ahead(bedside, "4", "j", "j", "s", "z")
        await settled(bedside)
        view = bedside.app.view
        assert (view.focus, view.smoothing, view.zoomed) == ("layers", 0.98, True)
        assert bedside.panel("layers").index == 2


async def test_a_key_after_one_that_opens_a_box_is_for_the_box_and_the_next_for_the_screen_again():
    async with shown(snapshots.alarming()) as bedside:
        type_ahead(bedside, "question_mark", "q", "z")
        await settled(bedside)
        assert len(bedside.app.screen_stack) == 1
        assert bedside.app.view.zoomed
        assert bedside.app.is_running


async def test_what_is_typed_ahead_of_a_prompt_is_in_it():
    async with shown(snapshots.alarming()) as bedside:
        type_ahead(bedside, "4", "slash", *"conv2", "enter", "z")
        await settled(bedside)
        assert bedside.app.view.filters == {"layers": "conv2"}
        assert bedside.app.view.zoomed


async def test_a_command_that_is_typed_whole_is_done_before_the_key_after_it():
    async with shown(snapshots.alarming()) as bedside:
        type_ahead(bedside, "colon", *"wall", "enter", "t")
        await settled(bedside)
        assert bedside.app.view.wall
        assert bedside.app._palette.name != "night"


async def test_a_yes_that_was_typed_before_the_question_was_shown_does_nothing_and_says_so():
    hand = Hand()
    async with shown(sick(), act=hand) as bedside:
        type_ahead(bedside, "i", "s", "y")
        await settled(bedside)
        assert "End the run at the next step" in bedside.text
        assert "y was typed before this was on the screen" in bedside.text
        await bedside.press("y")
        await answered(bedside)
        assert [action.name for _, action in hand.given] == ["stop"]


async def test_however_often_yes_was_typed_ahead_nothing_is_sent():
    hand = Hand()
    async with shown(sick(), act=hand) as bedside:
        type_ahead(bedside, "D", "y", "y", "y", "n", "z")
        await settled(bedside)
        assert hand.given == []
        assert len(bedside.app.screen_stack) == 1
        assert bedside.app.view.zoomed
