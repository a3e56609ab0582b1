"""One message of each kind, with every field set: what the golden frames in ``frames/`` hold.

``python tests/wire/samples.py`` writes the frames of messages that have none yet. A frame that is there is never
written again: it stands for what an older probe sends, and must decode for ever.
"""

from __future__ import annotations

import math
from pathlib import Path

from probe import packing, wire

FRAMES = Path(__file__).parent / "frames"

SAMPLES: dict[str, wire.Message] = {
    "hello": wire.Hello(
        schema=1,
        run_id="1a2b3c4d",
        name="resnet18",
        started_s=1.7e9,
        host="gpu-03",
        pid=4711,
        rank=1,
        world_size=2,
        device="cuda:0",
        script="train.py",
        interpreter="/usr/bin/python3",
        versions={"torch": "2.13.0"},
        model="ResNet",
        optimizer="SGD",
        layers=[wire.Layer(name="conv1", kind="Conv2d", parameters=9408), wire.Layer("fc", "Linear", 513000, False)],
        groups=[wire.Group(name="0", optimizer="", parameters=522408)],
        classes=["plane", "car"],
        config={"lr": 0.1},
        total_steps=39000,
        every=10,
        first_step=5,
        control=["lr"],
    ),
    "batch": wire.Batch(
        seq=7,
        first_seq=5,
        start=3,
        rows=3,
        steps=packing.pack_steps([3, 4, 4]),
        times_s=packing.pack_floats([1.0, 2.0, 2.5]),
        scalars={
            "train/loss": wire.Column(values=packing.pack_floats([2.5, math.nan]), at=packing.pack_rows([0, 1])),
            "val/loss": wire.Column(values=packing.pack_floats([math.inf]), at=packing.pack_rows([2])),
            "lr/0": wire.Column(values=packing.pack_floats([0.1])),
        },
        layers=[
            wire.LayerStats(
                step=4,
                stats={"grad_norm": wire.Column(values=packing.pack_floats32([0.5]), at=packing.pack_rows([1]))},
            )
        ],
        classes=[
            wire.ClassCounts(
                step=4,
                split="val",
                correct=packing.pack_steps([1, 2]),
                total=packing.pack_steps([3, 4]),
                predicted=packing.pack_steps([2, 5]),
            )
        ],
        marks=[wire.Mark(step=4, time_s=2.0, text="stage 2", kind="user")],
        facts=[wire.Fact(step=1, name="objective", value="cross_entropy"), wire.Fact(step=4, name="epoch", value=2)],
    ),
    "heartbeat": wire.Heartbeat(
        time_s=3.0,
        phase=wire.Phase.EVALUATING,
        step=4,
        cost_us=81.5,
        cost_share=0.004,
        dropped=1,
        faults=["dead_units"],
    ),
    "goodbye": wire.Goodbye(
        time_s=9.0,
        reason="signal",
        step=4,
        exit_code=-9,
        signal="SIGKILL",
        error="ValueError: x",
        traceback="Traceback (most recent call last):",
    ),
    "committed": wire.Committed(seq=7),
    "notice": wire.Notice(text="the disk is full", time_s=4.0, severity=wire.Severity.NOTICE),
    "alert": wire.Alert(
        id=3,
        rule="divergence",
        severity=wire.Severity.CRITICAL,
        raised_step=412,
        first_step=380,
        last_step=420,
        resolved_step=500,
        time_s=5.0,
        count=2,
        signals=["loss"],
        where=["conv1"],
        evidence={"level": 8.5, "worst": math.inf},
        symptoms=["oscillation"],
        summary="loss 8.5",
        action="lower the learning rate",
        confidence=0.9,
        acknowledged=True,
        muted=True,
    ),
    "command": wire.Command(id="c1", run_id="1a2b3c4d", name="lr", time_s=6.0, by="ana@gpu-03", args={"factor": 0.5}),
    "ack": wire.Ack(id="c1", ok=True, text="lr x0.5", step=413, applied={"factor": 0.5}),
    "historyrequest": wire.HistoryRequest(id="h1", after_seq=5),
    "overview": wire.Overview(
        seq=9,
        series={
            "loss": wire.Selection(steps=packing.pack_steps([1, 3]), values=packing.pack_floats([2.5, math.nan]))
        },
    ),
    "history": wire.History(id="h1", frames=[b"\x80"], share=0.5, done=True),
}


def write_missing() -> None:
    FRAMES.mkdir(exist_ok=True)
    for name, message in SAMPLES.items():
        path = FRAMES / f"{name}.v{wire.SCHEMA_VERSION}.msgpack"
        if not path.exists():
            path.write_bytes(wire.encode(message))


if __name__ == "__main__":
    write_missing()
