"""Numbers as people read them: the only place where a unit, a thousands sign or a power of ten is written."""

from __future__ import annotations

import math
from datetime import datetime

NONE = "–"


def count(value: int) -> str:
    """1284310 -> ``1,284,310``."""
    return f"{value:,}"


def short(value: float) -> str:
    """A step count in at most five signs: ``950``, ``88.2k``, ``902k``, ``1.28M``, ``4.00M``."""
    if not math.isfinite(value):
        return real(value)
    size = abs(value)
    sign = "−" if value < 0 else ""
    if size < 999.5:
        return f"{sign}{size:.0f}"
    scaled, unit = _scaled(size, 1000, "kMGT")
    return f"{sign}{scaled:.{2 if scaled < 9.995 else 1 if scaled < 99.95 else 0}f}{unit}"


def _scaled(size: float, base: int, units: str) -> tuple[float, str]:
    """The number in the smallest of the units in which it has at most three digits before the point."""
    for power, unit in enumerate(units, start=1):
        if size / base**power < 999.5:
            return size / base**power, unit
    return size / base ** len(units), units[-1]


def real(value: float | None, digits: int = 4) -> str:
    """A number without a unit: ``1.867``, ``0.0033``, ``2.38e-4``, ``NaN``, ``inf``."""
    if value is None:
        return NONE
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "inf" if value > 0 else "−inf"
    if value == 0:
        return "0"
    sign, size = ("−" if value < 0 else ""), abs(value)
    exponent = math.floor(math.log10(size))
    if exponent >= 6 or exponent <= -digits:
        mantissa, _, power = f"{size:.{max(digits - 2, 0)}e}".partition("e")
        return f"{sign}{mantissa}e{int(power)}"
    if size >= 1000:
        return f"{sign}{size:,.0f}"
    return f"{sign}{size:.{max(min(digits - 1 - exponent, digits), 0)}f}"


def loss(value: float) -> str:
    """A loss with the digits that one watches move: ``1.8671``, ``0.00412``, ``NaN``."""
    return real(value, 5 if abs(value) >= 1 else 4)


def signed(value: float, digits: int = 3) -> str:
    """A difference: ``+0.225``, ``−3.1``, and ``·`` for none."""
    if not math.isfinite(value):
        return NONE
    return "·" if value == 0 else ("+" if value > 0 else "") + real(value, digits)


def percent(share: float, digits: int = 1) -> str:
    """0.0613 -> ``6.1%``."""
    return f"{100 * share:.{digits}f}%" if math.isfinite(share) else real(share)


def signed_percent(share: float) -> str:
    """-0.045 -> ``−4.5%``."""
    if not math.isfinite(share):
        return NONE
    if abs(share) >= 9.995:
        return f"×{share + 1:.0f}" if share > 0 else "−999%"
    text = f"{abs(100 * share):.{1 if abs(share) < 0.9995 else 0}f}%"
    return text if text == "0.0%" else ("+" if share > 0 else "−") + text


def points(share: float, decimals: int = 1) -> str:
    """A difference of shares in points: -0.062 -> ``−6.2``, and ``·`` for none."""
    if not math.isfinite(share):
        return NONE
    size = f"{abs(100 * share):.{decimals}f}"
    return "·" if not size.strip("0.") else ("+" if share > 0 else "−") + size


def duration(seconds: float) -> str:
    """A time span in its two largest units: ``12s``, ``3m``, ``2h05m``, ``2d04h``."""
    if not math.isfinite(seconds):
        return NONE
    whole = max(int(seconds), 0)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m" + (f"{whole % 60:02}s" if whole < 600 else "")
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def ago(seconds: float) -> str:
    """An age in its largest unit: ``9s``, ``3m``, ``5h``, ``2d``."""
    whole = max(int(seconds), 0)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if whole >= size:
            return f"{whole // size}{unit}"
    return f"{whole}s"


def span_s(seconds: float) -> str:
    """The length of one step: ``243 ms``, ``1.20 s``, ``85 µs``."""
    if not math.isfinite(seconds):
        return real(seconds)
    if seconds >= 99.95:
        return duration(seconds)
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        scaled = seconds * factor
        if scaled >= 0.9995 or unit == "µs":
            break
    return f"{scaled:.{2 if scaled < 9.995 else 1 if scaled < 99.95 else 0}f} {unit}"


def size(count_bytes: float) -> str:
    """Memory in powers of 1024: ``118.4G``, ``512M``."""
    if not math.isfinite(count_bytes):
        return real(count_bytes)
    if count_bytes < 999.5:
        return f"{count_bytes:.0f}B"
    scaled, unit = _scaled(count_bytes, 1024, "KMGT")
    return f"{scaled:.0f}{unit}" if unit == "K" or scaled >= 999.5 else f"{scaled:.1f}{unit}"


def clock(time_s: float) -> str:
    """Unix seconds as the local time of day, with the date if that was another day: ``14:32``, ``Nov 20 14:32``."""
    moment = datetime.fromtimestamp(time_s).astimezone()
    today = datetime.now().astimezone().date()
    return f"{moment:%H:%M}" if moment.date() == today else f"{moment:%b %d %H:%M}"
