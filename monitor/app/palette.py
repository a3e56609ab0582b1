"""Colours by role. Which palette is right depends on what the terminal can show, so it is chosen, not degraded.

A terminal with 256 colours would snap the greys of ``night`` to teal and navy, and one with 16 makes validation
and critical the same red: hence a palette for each. Colour never stands alone: every severity has its own glyph.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from rich.color import Color
from rich.style import Style

ThemeName = Literal["night", "night256", "paper", "paper256", "ansi16", "mono"]

Ink = Literal[
    "bg",
    "text",
    "hi",
    "dim",
    "faint",
    "frame",
    "grid",
    "selected",
    "train",
    "val",
    "ok",
    "warn",
    "crit",
    "info",
    "other",
    "train_low",
    "val_low",
    "ok_low",
    "warn_low",
    "crit_low",
    "info_low",
    "other_low",
    "neutral_low",
]

_ROLES: Final[tuple[Ink, ...]] = (
    "bg", "text", "hi", "dim", "faint", "frame", "grid", "selected",
    "train", "val", "ok", "warn", "crit", "info", "other",
    "train_low", "val_low", "ok_low", "warn_low", "crit_low", "info_low", "other_low", "neutral_low",
)  # fmt: skip

_NIGHT = (
    "#0c1117 #c8d3de #f2f6fa #7d8fa1 #465666 #2a3744 #1b2530 #16202b "
    "#56b4e9 #f0a020 #2fc49a #f0d442 #ff5f5f #8fa7ff #d08bb8 "
    "#265574 #7a5210 #1d6d57 #776b24 #8a3338 #46548a #704a63 #2a3744"
)
_NIGHT_256 = (
    "#121212 #d0d0d0 #ffffff #8a8a8a #585858 #3a3a3a #262626 #262626 "
    "#5fafd7 #ffaf00 #00d7af #ffd75f #ff5f5f #87afff #d787af "
    "#005f87 #875f00 #005f5f #87875f #870000 #5f5f87 #875f87 #3a3a3a"
)
_PAPER = (
    "#fbfaf6 #33383f #0c0f12 #646d77 #a3a9af #cfccc2 #e8e6df #e8eef2 "
    "#0067a5 #a85f00 #00795a #8a6d00 #a8003f #4456c7 #9b4a80 "
    "#a3c6dd #e2c49a #9ad0c0 #ddd095 #e8a9bd #b9c1ea #d9b8ce #cfccc2"
)
_PAPER_256 = (
    "#ffffff #303030 #000000 #626262 #a8a8a8 #c6c6c6 #dadada #eeeeee "
    "#005f87 #af5f00 #00875f #875f00 #af005f #5f5fd7 #875f87 "
    "#afd7ff #ffd7af #afd7d7 #d7d7af #ffafd7 #d7d7ff #d7afd7 #c6c6c6"
)
_ANSI_16 = (
    "default default bright_white bright_black bright_black bright_black bright_black default "
    "bright_blue yellow green bright_yellow bright_red bright_cyan magenta "
    "bright_black yellow green bright_yellow red cyan magenta bright_black"
)
_MONO = " ".join(["default"] * len(_ROLES))

_COLORS: Final[dict[ThemeName, str]] = {
    "night": _NIGHT,
    "night256": _NIGHT_256,
    "paper": _PAPER,
    "paper256": _PAPER_256,
    "ansi16": _ANSI_16,
    "mono": _MONO,
}

#: What ``t`` goes through, by what the terminal can show.
CYCLES: Final[dict[str | None, tuple[ThemeName, ...]]] = {
    "truecolor": ("night", "paper", "ansi16", "mono"),
    "256": ("night256", "paper256", "ansi16", "mono"),
    "standard": ("ansi16", "mono"),
    None: ("mono",),
}

#: Cividis, dark to bright: read the same by the colour-blind. For 256 colours its nearest ones.
_HEAT: Final[dict[str, str]] = {
    "rgb": "#00224e #123570 #3b496c #575d6d #707173 #8a8678 #a59c74 #c3b369 #e1cc55 #fee838",
    "256": "#00005f #00005f #3a3a3a #585858 #6c6c6c #878787 #afaf87 #d7af5f #d7d75f #ffff5f",
}
#: Where there are no such colours: ever more ink.
_SHADES: Final = " ·:░░▒▒▓▓█"

_MONO_DIM: Final = ("dim", "faint", "frame", "grid", "neutral_low", "train_low")
_MONO_BOLD: Final = ("hi", "crit", "warn")


class Palette:
    """The styles of one theme. A pen is an index into :attr:`styles`, so that a cell's style is a small integer."""

    def __init__(self, name: ThemeName, *, ascii_only: bool = False) -> None:
        self.name: ThemeName = name
        self.ascii = ascii_only
        self.styles: list[Style] = []
        self._colors: dict[Ink, Color] = {
            role: Color.parse(color) for role, color in zip(_ROLES, _COLORS[name].split(), strict=True)
        }
        self._pens: dict[tuple[Ink, bool, Ink], int] = {}
        self._heat_pens: dict[tuple[int, int], int] = {}

    @property
    def is_ansi(self) -> bool:
        """Whether the terminal's own colours are used, which must not be turned into RGB."""
        return self.name in ("ansi16", "mono")

    @property
    def is_mono(self) -> bool:
        return self.name == "mono"

    def pen(self, ink: Ink, *, bold: bool = False, on: Ink = "bg") -> int:
        """The pen for text of this role, on the background of that role."""
        key = (ink, bold, on)
        found = self._pens.get(key)
        if found is None:
            found = self._pens[key] = len(self.styles)
            self.styles.append(self._style(ink, bold, on))
        return found

    def heat_cell(self, upper: int, lower: int) -> tuple[str, int]:
        """The sign and the pen of a cell whose halves have these levels of heat, below 0 for none."""
        if self.is_ansi:
            return _SHADES[max(upper, lower, 0)], self.pen("text")
        return ("▄" if upper < 0 else "▀"), self.heat(upper, lower)

    def heat(self, upper: int, lower: int) -> int:
        """The pen of a half cell: the colour of its sign is one level of heat, the ground another."""
        if self.is_ansi:
            return self.pen("text")
        key = (upper, lower) if upper >= 0 else (lower, -1)
        found = self._heat_pens.get(key)
        if found is None:
            colors = _HEAT["256" if self.name.endswith("256") else "rgb"].split()
            ground = Color.parse(colors[key[1]]) if key[1] >= 0 else self._colors["bg"]
            found = self._heat_pens[key] = len(self.styles)
            self.styles.append(Style(color=Color.parse(colors[key[0]]), bgcolor=ground))
        return found

    def background(self) -> Style:
        return self.styles[self.pen("text")]

    @property
    def screen(self) -> str:
        """The background of the screen as Textual's styles name it."""
        return "ansi_default" if self.is_ansi else _COLORS[self.name].split()[0]

    def _style(self, ink: Ink, bold: bool, on: Ink) -> Style:
        if self.is_mono:
            return Style(
                bold=bold or ink in _MONO_BOLD,
                dim=ink in _MONO_DIM and not bold,
                reverse=on not in ("bg", "selected"),
                underline=on == "selected" and bold,
            )
        if self.is_ansi and on not in ("bg", "selected"):
            return Style(color=Color.parse("black"), bgcolor=self._colors[on], bold=bold)
        return Style(color=self._colors[ink], bgcolor=self._colors[on], bold=bold)


def themes_for(color_system: str | None, *, no_color: bool = False, light: bool = False) -> tuple[ThemeName, ...]:
    """The themes that a terminal can show, the best first. ``color_system`` is what Rich found out."""
    if no_color:
        return ("mono",)
    themes = CYCLES.get(color_system, CYCLES["standard"])
    return tuple(sorted(themes, key=lambda name: not name.startswith("paper"))) if light else themes


def is_light(env: Mapping[str, str]) -> bool:
    """Whether the terminal says that its ground is light: ``COLORFGBG=0;15``. Most say nothing, and most are dark."""
    return env.get("COLORFGBG", "").rpartition(";")[2] in ("7", "15")
