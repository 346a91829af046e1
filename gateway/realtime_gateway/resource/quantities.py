"""Kubernetes quantities: a number with a suffix of powers of 1024 (Ki, Mi, Gi) or of 1000 (k, M, G).

The grammar is that of apimachinery's resource.Quantity, without the suffixes below 1 for sizes in bytes.
"""

from __future__ import annotations

import re
from decimal import Decimal

_BINARY = {suffix: 1024 ** (power + 1) for power, suffix in enumerate(["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"])}
_DECIMAL = {suffix: 1000 ** (power + 1) for power, suffix in enumerate(["k", "M", "G", "T", "P", "E"])}
_FACTORS = {"": 1, **_BINARY, **_DECIMAL}

_NUMBER = r"[0-9]{1,18}(?:\.[0-9]{0,9})?|\.[0-9]{1,9}"
_EXPONENT = r"[eE][-+]?[0-9]{1,2}"
SIZE_PATTERN = rf"^\+?(?:{_NUMBER})(?:[KMGTPE]i|[kMGTPE]|{_EXPONENT})?$"
QUANTITY_PATTERN = rf"^[-+]?(?:{_NUMBER})(?:[KMGTPE]i|[numkMGTPE]|{_EXPONENT})?$"
_PARTS = re.compile(rf"\+?(?P<number>(?:{_NUMBER})(?:{_EXPONENT})?)(?P<suffix>[KMGTPE]i|[kMGTPE])?")


def parse_size(text: str) -> int | None:
    """Return the bytes that ``text`` stands for, rounded up as Kubernetes does; None when it is not a size."""
    if not re.fullmatch(SIZE_PATTERN, text):
        return None
    parts = _PARTS.fullmatch(text)
    if parts is None:
        return None
    exact = Decimal(parts["number"]) * _FACTORS[parts["suffix"] or ""]
    whole = int(exact)
    return whole if whole == exact else whole + 1


def is_quantity(text: str) -> bool:
    """Tell whether ``text`` is a quantity of anything, such as 500m of CPU."""
    return re.fullmatch(QUANTITY_PATTERN, text) is not None


def format_size(size_bytes: int) -> str:
    """Return the shortest exact quantity, in the form to which Kubernetes normalises it."""
    for suffix, factor in reversed(_BINARY.items()):
        if size_bytes and size_bytes % factor == 0:
            return f"{size_bytes // factor}{suffix}"
    return str(size_bytes)
