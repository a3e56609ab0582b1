"""A run as lines of text."""

from __future__ import annotations

from monitor.tail import Tail
from probe import wire
from probe.batch import BatchBuilder

HELLO = wire.Hello(schema=1, run_id="11111111", name="run", started_s=100.0, model="Net", device="cpu", host="node7")


def lines(*messages):
    """Each without the time of day."""
    return [line.partition(" ")[2] for line in Tail().lines(messages)]


def test_what_the_probe_cannot_see_is_a_line_of_its_own():
    builder = BatchBuilder()
    builder.fact(3, "batch_size", 8)
    builder.fact(3, "hidden", "Activations are not available: the model is compiled.")

    assert lines(HELLO, builder.build(1)) == [
        "· step       0  run run (11111111): Net on cpu, node7",
        "○ step       3  Activations are not available: the model is compiled.",
    ]
