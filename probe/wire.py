"""What the two sides say to each other: one struct a message, and the frames they travel in.

This is the only module that the training side and the monitor's side share, and it needs nothing but the
standard library and msgspec. The protocol in prose, field by field, is ``docs/reference/wire.md``.

How it may grow (msgspec's rules): a new field gets a default; a field never changes its type or meaning; a new
message gets a new class. An older reader skips a field it does not know, and :func:`decode` returns ``None`` for
a message that it does not know, so that it can be counted and passed over.

Numbers travel in packed little-endian columns (:class:`Column`), because a column of 256 float64 costs 2,056
bytes and 3 microseconds where 256 dictionaries cost 40 times that, and because MessagePack keeps NaN and
infinities apart, which JSON does not.
"""

from __future__ import annotations

import enum
from typing import Any, Final, get_args

import msgspec

SCHEMA_VERSION: Final = 1

#: The largest frame that either side reads, in bytes. A larger one is dropped and counted.
MAX_FRAME_BYTES: Final = 64 * 1024 * 1024

#: The most steps that one batch from the training process carries, the most classes whose confusions are counted.
BATCH_STEPS: Final = 256
PAIRED_CLASSES: Final = 64


class Severity(enum.IntEnum):
    """How bad: only ``WARNING`` and ``CRITICAL`` are alarms (they ring, and ``diagnose`` exits with 1)."""

    INFO = 0
    NOTICE = 1
    WARNING = 2
    CRITICAL = 3

    @property
    def is_alarm(self) -> bool:
        return self >= Severity.WARNING

    @property
    def label(self) -> str:
        """The word that people and JSON see: ``info``, ``notice``, ``warning`` or ``critical``."""
        return self.name.lower()


class Phase(str, enum.Enum):
    """What the training loop is doing, as far as the probe can tell."""

    STARTING = "starting"
    TRAINING = "training"
    EVALUATING = "evaluating"
    CHECKPOINTING = "checkpointing"
    PAUSED = "paused"


class _Value(msgspec.Struct, frozen=True, omit_defaults=True):
    """A part of a message."""


class _Message(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag=str.lower):
    """A whole message; on the wire its ``type`` is the class name in lower case."""


# ---------------------------------------------------------------------------------------------------- the values


class Column(_Value, frozen=True, array_like=True):
    """One series over the rows of a batch (or one statistic over the layers of a model).

    ``values`` is packed little-endian; ``at`` holds the row indices (uint32) that have a value. An empty ``at``
    means every row; a single value with an empty ``at`` stands for the same value in every row. A row that is
    not listed has *no* value, which is not the same as a NaN.
    """

    values: bytes
    at: bytes = b""


class Selection(_Value, frozen=True, array_like=True):
    """Some points of one series: ``steps``, int64[n], never falling, and ``values``, float64[n]."""

    steps: bytes
    values: bytes


class Layer(_Value, frozen=True, array_like=True):
    """A leaf module that owns parameters, in the order of ``model.named_modules()``."""

    name: str
    kind: str
    parameters: int
    trainable: bool = True


class Group(_Value, frozen=True, array_like=True):
    """A parameter group of an optimizer; its learning rate is the series ``lr/NAME``."""

    name: str
    optimizer: str
    parameters: int


class LayerStats(_Value, frozen=True, kw_only=True):
    """Per-layer statistics of one step.

    ``stats`` maps ``grad_norm``, ``weight_norm``, ``update_ratio``, ``act_mean``, ``act_std``, ``act_zero_frac``,
    ``dead_frac``, ``saturated_frac`` to a float32 column over ``Hello.layers``.
    """

    step: int
    stats: dict[str, Column]


class ClassCounts(_Value, frozen=True, kw_only=True):
    """Class-wise counts since the last ones of the same split: int64[classes] each.

    ``split`` is ``train`` or ``val``. ``total`` counts the targets of a class, ``correct`` those predicted right,
    ``predicted`` the predictions of a class, right or wrong. ``confused``, of validations of up to 64 classes, counts
    what was taken for another class: int64 values, those that are not 0, of int64[classes, classes], a row a target.
    """

    step: int
    split: str
    correct: bytes
    total: bytes
    predicted: bytes
    confused: Column | None = None


class Mark(_Value, frozen=True, kw_only=True):
    """A point on the time axis that a person or a command left there.

    ``kind`` is ``user``, ``command``, ``resume``, ``epoch`` or ``gap``. For a command ``command`` is its name, ``by``
    who asked, and ``applied`` what its Ack said.
    """

    step: int
    time_s: float
    text: str
    kind: str = "user"
    command: str = ""
    by: str = ""
    applied: dict[str, Any] = {}


class Fact(_Value, frozen=True, kw_only=True):
    """Something that is so, rather than a number that moves: ``objective`` = ``cross_entropy``, for one.

    A later fact of the same name replaces the earlier one. The catalogue is in ``docs/reference/wire.md``.
    """

    step: int
    name: str
    value: str | float | int | bool | None


class Action(_Value, frozen=True):
    """What a command is to do: its name and its arguments, as in ``docs/reference/interventions.md``.

    In an alert it is what would help. There the ``factor`` of ``lr`` is of the learning rate that was in use when the
    alert was raised.
    """

    name: str
    args: dict[str, Any] = {}


# -------------------------------------------------------------------------------------------------- the messages


class Hello(_Message, frozen=True, kw_only=True):
    """Who is training what. First message of every connection; sent again when a recorder is started anew.

    ``on_alert`` maps the name of a rule to what the recorder shall command when that raises an alarm. ``endpoint`` is
    where the recorder listens beside its own sockets, ``insecure`` that it asks nobody there for a key.
    """

    schema: int
    run_id: str
    name: str
    started_s: float
    host: str = ""
    pid: int = 0
    rank: int = 0
    world_size: int = 1
    device: str = "cpu"
    script: str = ""
    interpreter: str = ""
    versions: dict[str, str] = {}
    model: str = ""
    optimizer: str = ""
    layers: list[Layer] = []
    groups: list[Group] = []
    classes: list[str] = []
    config: dict[str, Any] = {}
    total_steps: int | None = None
    every: int = 10
    first_step: int = 0
    control: list[str] = []
    resumes: str = ""
    on_alert: dict[str, Action] = {}
    endpoint: str = ""
    insecure: bool = False


class Batch(_Message, frozen=True, kw_only=True):
    """What gathered in the training process since the last batch; also a page of the run file (several merged).

    ``seq`` counts batches from 1 without a gap; a page covers ``first_seq`` to ``seq`` (0 means just ``seq``).
    There are ``rows`` rows. Their steps are ``start, start + 1, ...`` when ``steps`` is empty, else int64[rows],
    never falling: a validation value belongs to the last training step and so may repeat its number.
    ``times_s`` is float64[rows], Unix seconds on the training host's clock. ``scalars`` are float64 columns.
    """

    seq: int
    first_seq: int = 0
    start: int = 0
    rows: int = 0
    steps: bytes = b""
    times_s: bytes = b""
    scalars: dict[str, Column] = {}
    layers: list[LayerStats] = []
    classes: list[ClassCounts] = []
    marks: list[Mark] = []
    facts: list[Fact] = []


class Heartbeat(_Message, frozen=True, kw_only=True):
    """That the training process is there: four times a minute at least, each second while no step completes.

    ``cost_us`` is the probe's own CPU time a step, with that of the evaluations between them; ``cost_share`` the same
    as a share of the wall time of steps and evaluations; ``dropped`` counts the batches given up because 16 MiB were
    waiting; ``faults`` names what was switched off.
    """

    time_s: float
    phase: Phase = Phase.TRAINING
    step: int = 0
    cost_us: float = 0.0
    cost_share: float = 0.0
    dropped: int = 0
    faults: list[str] = []


class Goodbye(_Message, frozen=True, kw_only=True):
    """How it ended.

    ``reason`` is ``finished``, ``detached``, ``exception``, ``exit`` (a non-zero exit code), ``signal``,
    ``out-of-memory``, ``vanished`` (gone without a goodbye, nothing more is known).
    """

    time_s: float
    reason: str
    step: int = 0
    exit_code: int | None = None
    signal: str = ""
    error: str = ""
    traceback: str = ""


class Committed(_Message, frozen=True, kw_only=True):
    """Recorder to training process: every batch up to ``seq`` is in the run file; and whether anybody follows it."""

    seq: int
    watched: bool = True


class Notice(_Message, frozen=True, kw_only=True):
    """One line for a person, said once: what cannot be seen, what could not be written, and what to do."""

    text: str
    time_s: float = 0.0
    severity: Severity = Severity.WARNING


class Alert(_Message, frozen=True, kw_only=True):
    """A condition that opened, is updated, and resolves. Told again with the same ``id`` whenever it changes.

    ``first_step`` is where the trouble began, ``raised_step`` where it was said. ``evidence`` may hold NaN and
    infinities. ``symptoms`` are the rules folded under this one; ``where`` the layers or classes at fault.
    ``action`` says what to do; ``offers`` is as much of it as a command can do, the first thing to try first.
    """

    id: int
    rule: str
    severity: Severity
    raised_step: int
    first_step: int | None = None
    last_step: int = 0
    resolved_step: int | None = None
    time_s: float = 0.0
    count: int = 1
    signals: list[str] = []
    where: list[str] = []
    evidence: dict[str, float] = {}
    symptoms: list[str] = []
    summary: str = ""
    action: str = ""
    confidence: float = 1.0
    acknowledged: bool = False
    muted: bool = False
    offers: list[Action] = []

    @property
    def is_open(self) -> bool:
        return self.resolved_step is None


class Command(_Message, frozen=True, kw_only=True):
    """Monitor to training process, through the recorder: do this between two steps.

    ``name`` is one of ``Hello.control``; ``args`` are its named arguments; ``by`` says who asked. All of them are in
    ``docs/reference/interventions.md``.
    """

    id: str
    run_id: str
    name: str
    time_s: float
    by: str = ""
    args: dict[str, Any] = {}


class Ack(_Message, frozen=True, kw_only=True):
    """What became of a command: done, or refused with a reason.

    ``step`` is the last step that was complete then; ``applied`` is in ``docs/reference/interventions.md``.
    """

    id: str
    ok: bool
    text: str = ""
    step: int = 0
    applied: dict[str, Any] = {}


class HistoryRequest(_Message, frozen=True, kw_only=True):
    """Monitor to recorder: everything after batch ``after_seq`` (0: all of it)."""

    id: str
    after_seq: int = 0


class Overview(_Message, frozen=True, kw_only=True):
    """Recorder to monitor, in the first parts of a long answer: what the run looks like up to batch ``seq``.

    Of each series a few points that were recorded: in each of some 500 to 1,000 equal stretches of steps the lowest,
    the highest, the newest, and one that is not finite. A later one adds series. All of it comes again, complete.
    """

    seq: int
    series: dict[str, Selection] = {}


class History(_Message, frozen=True, kw_only=True):
    """Recorder to monitor: one part of the answer. ``frames`` are encoded messages, oldest first.

    ``share`` is how much of the answer has been sent by now, 0 to 1; ``done`` marks the last part.
    """

    id: str
    frames: list[bytes] = []
    share: float = 1.0
    done: bool = False


Message = (
    Hello | Batch | Heartbeat | Goodbye | Committed | Notice | Alert | Command | Ack
    | HistoryRequest | Overview | History
)  # fmt: skip

#: Every message by its name on the wire; tests and the reference page walk over it.
MESSAGES: Final[dict[str, type[_Message]]] = {cls.__name__.lower(): cls for cls in get_args(Message)}

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """The message as one MessagePack frame."""
    return _encoder.encode(message)


def decode(frame: bytes) -> Message | None:
    """The message in a frame, or ``None`` for anything that is not a message of this schema.

    Garbage, a truncated frame, an oversized one and a message type from the future are all ``None``: the caller
    counts it and goes on.
    """
    if len(frame) > MAX_FRAME_BYTES:
        return None
    try:
        message: Message = _decoder.decode(frame)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return message
