"""Checks of what a caller of the Python API gives: a wrong value raises at once, and says what is allowed. Pure."""

from __future__ import annotations


def between(name: str, value: float, low: float, high: float) -> None:
    """Raise ValueError unless low <= value <= high."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{name}: {value!r}; allowed is a number from {low} to {high}")


def whole(name: str, value: int, low: int, high: int) -> None:
    """Raise ValueError unless it is a whole number from low to high."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{name}: {value!r}; allowed is a whole number from {low} to {high}")


def text(name: str, value: str, *, longest: int, empty: bool = False) -> None:
    """Raise ValueError unless it is printable text of that length."""
    if not isinstance(value, str) or len(value) > longest or not value.isprintable() or not (value or empty):
        least = 0 if empty else 1
        raise ValueError(f"{name}: {value!r}; allowed are {least} to {longest} printable characters")


def one_of(name: str, value: object, allowed: tuple[object, ...]) -> None:
    """Raise ValueError unless it is one of these."""
    if value not in allowed:
        raise ValueError(f"{name}: {value!r}; allowed are {', '.join(map(repr, allowed))}")
