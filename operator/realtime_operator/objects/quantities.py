"""Kubernetes quantities in the one form in which the API server keeps them (`0.1` is kept as `100m`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

from realtime_gateway.resource.cluster import Resources

_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_FORM = re.compile(r"^([+-]?[0-9.]+)(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E|)$")


def from_bytes(count: int) -> str:
    """Write a number of bytes: 268435456 is 256Mi."""
    return _binary(Decimal(count))


def canonical(quantity: str) -> str:
    """Write a quantity as the API server would; one in exponent form, or that is none, is left for the server."""
    found = _FORM.match(quantity)
    if found is None:
        return quantity
    number, suffix = Decimal(found[1]), found[2]
    if suffix in _BINARY:
        return _binary(number * Decimal(1024) ** _BINARY[suffix])
    return _decimal(number * Decimal(10) ** _DECIMAL[suffix])


def resources(wanted: Resources) -> dict[str, dict[str, str]]:
    """Requests and limits as they stand in a container."""
    both = {"requests": wanted.requests, "limits": wanted.limits}
    return {name: _each(amounts) for name, amounts in both.items() if amounts}


def _each(amounts: Mapping[str, str]) -> dict[str, str]:
    return {name: canonical(str(amount)) for name, amount in amounts.items()}


def _binary(value: Decimal) -> str:
    # Below 1024, and where a fraction of a byte is asked for, the server keeps the decimal form.
    if abs(value) < 1024 or value != value.to_integral_value():
        return _decimal(value)
    count, suffix = int(value), ""
    for unit in _BINARY:
        if count % 1024:
            break
        count, suffix = count // 1024, unit
    return f"{count}{suffix}"


def _decimal(value: Decimal) -> str:
    if not value:
        return "0"
    for suffix, power in sorted(_DECIMAL.items(), key=lambda item: -item[1]):
        scaled = value / Decimal(10) ** power
        if scaled == scaled.to_integral_value():
            return f"{int(scaled)}{suffix}"
    return f"{int((value * 10**9).to_integral_value(rounding='ROUND_CEILING'))}n"
