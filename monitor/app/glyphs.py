"""The signs of the screen, each one cell wide, and what stands in for them where only ASCII can be shown."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitor.app.palette import Ink
from monitor.model import RunState, Severity

SEVERITY: Final = {
    Severity.CRITICAL: "✗",
    Severity.WARNING: "▲",
    Severity.NOTICE: "●",
    Severity.INFO: "○",
}

#: The glyph, the word and the ink of the state in the header.
STATE: Final[dict[RunState, tuple[str, str, Ink]]] = {
    RunState.WAITING: ("○", "WAIT", "dim"),
    RunState.TRAINING: ("●", "RUN", "ok"),
    RunState.EVALUATING: ("●", "EVAL", "val"),
    RunState.CHECKPOINTING: ("●", "SAVE", "info"),
    RunState.PAUSED: ("‖", "PAUSED", "warn"),
    RunState.STALLED: ("▲", "STALLED", "warn"),
    RunState.FINISHED: ("✓", "DONE", "train"),
    RunState.FAILED: ("✗", "FAILED", "crit"),
    RunState.VANISHED: ("✗", "VANISHED", "crit"),
}

#: Of the marks that have a sign on the time axis, by their kind.
MARKS: Final = {"user": "◆", "command": "»", "resume": "↻"}

#: Sparkline levels, never the full block: rows would melt together.
LEVELS: Final = "▁▂▃▄▅▆▇"

BRAILLE: Final = 0x2800

_PLAIN: Final = {
    "✗": "X",
    "▲": "!",
    "●": "*",
    "○": "o",
    "✓": "v",
    "•": "o",
    "◂": "<",
    "→": ">",
    "⏎": "<",
    "»": ">",
    "↻": "@",
    "◆": "#",
    "▪": "*",
    "⇥": ">",
    "⇣": "v",
    "·": ".",
    "…": "~",
    "–": "-",
    "−": "-",
    "×": "x",
    "▎": "|",
    "▼": "v",
    "‖": "|",
    "Δ": "d",
    "σ": "s",
    "μ": "m",
    "µ": "u",
    "━": "=",
    "─": "-",
    "╸": "=",
    "╺": "=",
    "┼": "+",
    "│": "|",
    "╭": "+",
    "╮": "+",
    "╰": "+",
    "╯": "+",
    "┈": ".",
    "╎": ":",
    "░": "/",
    "▒": "%",
    "▓": "#",
    "┊": "|",
    "⇧": "^",
    "←": "<",
    "▀": "#",
    "▁": ".",
    "▂": ".",
    "▃": ":",
    "▄": "-",
    "▅": "=",
    "▆": "+",
    "▇": "#",
    "█": "#",
    "↑": "^",
    "↓": "v",
}


def _ascii_table() -> NDArray[np.uint32]:
    """For each code point below U+2900 the one to show instead; braille by how many of its dots are set."""
    table = np.arange(0x2900, dtype=np.uint32)
    table[0x80:] = ord("?")
    for sign, plain in _PLAIN.items():
        table[ord(sign)] = ord(plain)
    for code in range(256):
        table[BRAILLE + code] = ord(" .::***##"[code.bit_count()])
    return table


_ASCII: Final = _ascii_table()


def to_ascii(codes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The same cells in ASCII, cell for cell; anything that has no stand-in becomes a question mark."""
    plain = _ASCII[np.minimum(codes, len(_ASCII) - 1)]
    plain[codes >= len(_ASCII)] = ord("?")
    return plain
