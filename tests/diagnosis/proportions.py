"""Shares and rates with their 95 % intervals."""

from __future__ import annotations

from scipy import stats


def share(count: int, of: int) -> str:
    """A share with its 95 % interval, after Wilson.

    >>> share(0, 200)
    '0 of 200 (0 % to 1.88 %)'
    """
    if not of:
        return "none"
    low, high = stats.binomtest(count, of).proportion_ci(method="wilson")
    return f"{count} of {of} ({100 * max(low, 0):.3g} % to {100 * high:.3g} %)"


def rate(count: int, steps: int) -> str:
    """Events per 10,000 steps with their exact 95 % interval, after Garwood."""
    low = stats.chi2.ppf(0.025, 2 * count) / 2 if count else 0.0
    high = stats.chi2.ppf(0.975, 2 * count + 2) / 2
    scale = 10_000 / steps
    return f"{count * scale:.2g} ({low * scale:.2g} to {high * scale:.2g})"
