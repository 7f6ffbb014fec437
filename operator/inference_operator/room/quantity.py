"""Kubernetes' quantities ("100m", "2Gi", "1e3") as numbers, and as a person would write them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

Amounts = Mapping[str, Decimal]
"""By resource name: cores, bytes, or a count."""

_SUFFIXES = {
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)},
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", 1)},
    "m": Decimal("1e-3"),
    "u": Decimal("1e-6"),
    "n": Decimal("1e-9"),
}
_BYTES = ("memory", "ephemeral-storage", "hugepages-")


def parse_quantity(text: str | int) -> Decimal:
    """Raises ValueError for what is no quantity."""
    written = str(text).strip()
    suffix = next((known for known in _SUFFIXES if written.endswith(known)), "")
    try:
        number = Decimal(written.removesuffix(suffix))
    except InvalidOperation as error:
        raise ValueError(f"{text!r} is not a quantity such as 500m, 2 or 16Gi") from error
    if not number.is_finite():
        raise ValueError(f"{text!r} is not a quantity such as 500m, 2 or 16Gi")
    return number * _SUFFIXES.get(suffix, Decimal(1))


def parse_amounts(written: Mapping[str, str | int]) -> dict[str, Decimal]:
    """Raises ValueError for what is no quantity."""
    return {resource: parse_quantity(text) for resource, text in written.items()}


def add(one: Amounts, other: Amounts) -> dict[str, Decimal]:
    return {
        resource: one.get(resource, Decimal(0)) + other.get(resource, Decimal(0))
        for resource in {*one, *other}
    }


def largest(one: Amounts, other: Amounts) -> dict[str, Decimal]:
    return {
        resource: max(one.get(resource, Decimal(0)), other.get(resource, Decimal(0)))
        for resource in {*one, *other}
    }


def show(resource: str, amount: Decimal) -> str:
    """The amount alone, as in "1.5Gi" or "0.25"."""
    kind = resource.removeprefix("requests.").removeprefix("limits.")
    if kind.startswith(_BYTES):
        for letter in "PTGMK":
            unit = _SUFFIXES[f"{letter}i"]
            if abs(amount) >= unit:
                return f"{_rounded(amount / unit)}{letter}i"
    return _rounded(amount)


def _rounded(amount: Decimal) -> str:
    return f"{float(round(amount, 2)):g}" if abs(amount) < 1_000_000 else f"{amount:.0f}"
