"""Each example, as a user runs it: what it prints of its own training is what Bedside has recorded."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

#: The optimizer steps that each example completes, and the results that it prints as they stand in the record.
EXPECTED = {
    "minimal": (2560, {"loss"}),
    "accumulation": (220, {"loss", "gradient norm", "lr", "val loss"}),
    "language_model": (150, {"loss", "gradient norm", "val loss"}),
    "gan": (290, {"generator", "discriminator"}),
    "lightning_trainer": (110, {"val loss", "val accuracy"}),
    "hf_trainer": (80, {"loss", "gradient norm", "val loss"}),
    "accelerate_loop": (110, {"loss", "gradient norm", "lr", "val loss"}),
}
#: A plain loop and the frameworks; with them those of amp and ddp.
QUICK = ("minimal", "lightning_trainer", "hf_trainer", "accelerate_loop")
EACH = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in EXPECTED]
#: The key under which Bedside records a result.
KEYS = {
    "loss": "train/loss",
    "val loss": "val/loss",
    "val accuracy": "val/accuracy",
    "gradient norm": "grad/norm",
    "lr": "lr/0",
    "scale": "amp/scale",
    "steps skipped": "amp/skipped_total",
    "generator": "train/loss",
    "discriminator": "train/loss/d",
}


def near(value):
    """The examples print six decimals."""
    return pytest.approx(value, abs=1e-6)


def recorded(recording, printed):
    """What was recorded last of each result that was printed."""
    return near({name: recording.values(KEYS[name])[-1] for name in printed})


def test_every_example_is_run_here():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*EXPECTED, "amp", "ddp"}


def test_what_the_how_to_shows_of_an_example_stands_in_it():
    sections = (EXAMPLES.parent / "docs/how-to/attach-to-your-loop.md").read_text().split("\n## ")
    linked = {name: section for section in sections for name in re.findall(r"/examples/(\w+)\.py\)", section)}

    missing = [
        line
        for name, section in linked.items()
        for block in re.findall(r"```python\n(.*?)```", section, re.DOTALL)
        for line in block.splitlines()
        if line.strip() not in map(str.strip, (EXAMPLES / f"{name}.py").read_text().splitlines())
    ]

    assert set(linked) == {*EXPECTED, "amp", "ddp"}
    assert missing == []


@pytest.mark.parametrize("name", EACH)
def test_every_step_is_recorded_and_the_training_hears_nothing_of_it(example, name):
    ran = example(name)
    steps, _ = EXPECTED[name]

    assert ran.recording.steps("train/loss") == list(range(1, steps + 1))
    assert "Bedside" not in ran.errors


def test_the_minimal_example_says_nothing_but_its_loss(example):
    ran = example("minimal")

    assert (len(ran.output.splitlines()), ran.errors) == (1, "")


@pytest.mark.parametrize("name", EACH)
def test_what_the_script_prints_last_was_recorded_last(example, name):
    ran = example(name)
    _, results = EXPECTED[name]
    printed = {result: ran.printed()[result] for result in results}

    assert printed == recorded(ran.recording, printed)


@pytest.mark.slow
def test_accumulation_has_one_step_in_four_batches_and_the_epochs_of_its_loader(example):
    recording = example("accumulation").recording

    assert recording.facts("epoch") == [(22 * epoch, epoch + 1) for epoch in range(10)]
    assert recording.hello.total_steps == 220
    assert recording.steps("val/loss") == list(range(22, 221, 22))


def test_steps_that_amp_skips_only_raise_the_count_and_its_scale_is_not_in_loss_and_norm(example):
    ran = example("amp")
    printed = ran.printed()

    assert set(printed) == {"loss", "gradient norm", "val loss", "val accuracy", "scale", "steps skipped"}
    assert printed == recorded(ran.recording, printed)
    assert ran.recording.steps("train/loss") == list(range(1, 221 - int(printed["steps skipped"])))
    assert printed["steps skipped"] > 0


def test_each_rank_records_its_own_loss_and_the_common_gradient(example):
    ran = example("ddp")
    first, second = ran.recordings

    assert set(ran.printed()) == {"loss", "gradient norm", "val loss"}
    assert ran.printed() == recorded(first, ran.printed())
    assert (first.hello.rank, second.hello.rank) == (0, 1)
    assert first.steps("train/loss") == second.steps("train/loss") == list(range(1, 111))
    assert first.values("train/loss") != second.values("train/loss")
    assert first.values("grad/norm") == second.values("grad/norm")
    assert first.values("val/loss") == second.values("val/loss")


def test_the_losses_of_a_lightning_epoch_have_the_mean_that_lightning_logs(example):
    ran = example("lightning_trainer")

    losses = ran.recording.values("train/loss")

    assert sum(losses[-22:]) / 22 == near(ran.printed()["epoch loss"])


@pytest.mark.parametrize("name", ["lightning_trainer", "accelerate_loop"])
def test_the_epochs_under_a_framework_are_the_passes_over_its_loader(example, name):
    recording = example(name).recording

    assert recording.facts("epoch") == [(0, 1), (22, 2), (44, 3), (66, 4), (88, 5)]
    assert recording.steps("val/loss") == [22, 44, 66, 88, 110]


@pytest.mark.parametrize(("name", "ending"), [("minimal", "finished"), ("lightning_trainer", "detached")])
def test_a_callback_ends_the_run_with_its_training_and_a_script_with_itself(example, name, ending):
    assert example(name).recording.ending == ending


@pytest.mark.slow
def test_both_networks_of_a_gan_have_their_loss_and_norm(example):
    recording = example("gan").recording

    assert recording.steps("train/loss/d") == list(range(1, 291))
    assert (recording.steps("grad/norm")[0], recording.steps("grad/norm/d")[0]) == (1, 1)
    assert min(recording.values("grad/norm") + recording.values("grad/norm/d")) > 0.0


@pytest.mark.slow
def test_a_number_that_the_script_logs_stands_at_its_step(example):
    recording = example("language_model").recording

    assert recording.steps("user/perplexity") == list(range(1, 151))
    assert recording.values("user/perplexity") == pytest.approx([math.exp(x) for x in recording.values("train/loss")])
