"""The wire: every message there and back, frames of old for ever, and nothing hostile gets in."""

from __future__ import annotations

import math

import msgspec
import pytest
from samples import FRAMES, SAMPLES

from probe import packing, wire


def comparable(value):
    """NaN equals nothing, so messages are compared by their repr."""
    return repr(value)


def test_every_message_has_a_golden_frame():
    assert {path.name.partition(".")[0] for path in FRAMES.glob("*.msgpack")} == set(wire.MESSAGES)


@pytest.mark.parametrize("path", sorted(FRAMES.glob("*.msgpack")), ids=lambda path: path.stem)
def test_a_golden_frame_decodes_to_what_it_said(path):
    assert comparable(wire.decode(path.read_bytes())) == comparable(SAMPLES[path.name.partition(".")[0]])


@pytest.mark.parametrize("name", wire.MESSAGES)
def test_a_message_comes_back_as_it_was(name):
    assert comparable(wire.decode(wire.encode(SAMPLES[name]))) == comparable(SAMPLES[name])


@pytest.mark.parametrize("name", wire.MESSAGES)
def test_a_field_from_the_future_is_skipped(name):
    fields = msgspec.msgpack.decode(wire.encode(SAMPLES[name]))

    assert comparable(wire.decode(msgspec.msgpack.encode({**fields, "from_the_future": 1}))) == comparable(
        SAMPLES[name]
    )


@pytest.mark.parametrize("name", wire.MESSAGES)
def test_a_truncated_message_is_no_message(name):
    frame = wire.encode(SAMPLES[name])

    assert [wire.decode(frame[:length]) for length in range(len(frame))] == [None] * len(frame)


def test_a_message_from_the_future_is_no_message():
    assert wire.decode(msgspec.msgpack.encode({"type": "telepathy", "seq": 1})) is None


def test_a_field_of_another_type_is_no_message():
    assert wire.decode(msgspec.msgpack.encode({"type": "committed", "seq": "seven"})) is None


def test_an_oversized_frame_is_no_message():
    assert wire.decode(bytes(wire.MAX_FRAME_BYTES + 1)) is None


def test_deep_nesting_is_no_message():
    assert wire.decode(b"\x91" * 100_000) is None


def test_the_schema_version_is_in_every_hello():
    assert msgspec.msgpack.decode(wire.encode(SAMPLES["hello"]))["schema"] == wire.SCHEMA_VERSION


def test_a_value_beyond_float32_is_an_infinity():
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(packing.pack_floats32([1e300]))) == packing.pack_floats32(
        [math.inf]
    )


@pytest.mark.parametrize(
    ("severity", "alarm", "label"),
    [
        (wire.Severity.INFO, False, "info"),
        (wire.Severity.NOTICE, False, "notice"),
        (wire.Severity.WARNING, True, "warning"),
        (wire.Severity.CRITICAL, True, "critical"),
    ],
)
def test_only_warning_and_critical_are_alarms(severity, alarm, label):
    assert (severity.is_alarm, severity.label) == (alarm, label)
