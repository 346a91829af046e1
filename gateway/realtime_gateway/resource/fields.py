"""How one field of the resource is declared: a sentence, a default and a rule, from which parser, schema and docs work.

    max_message_size_bytes: int = setting("The largest message …", default=1 * MIB, rule=Size(minimum_bytes=1))

The field's type says what it holds. Its name in a resource is the same in camelCase; a size in bytes is written there
as a Kubernetes quantity, without its unit (``maxMessageSize: 1Mi``).
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NewType

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

# A part of the resource that is handed to Kubernetes as it is: an affinity, a toleration, a volume.
KubernetesObject = NewType("KubernetesObject", Mapping[str, Any])
# A quantity that is handed to Kubernetes as it is written, such as 500m of CPU.
Quantity = NewType("Quantity", str)

_REQUIRED: Any = object()


@dataclass(frozen=True)
class Number:
    """Bounds of a number, both included."""

    minimum: int
    maximum: int


@dataclass(frozen=True)
class Size:
    """A number of bytes, written as a quantity; bounds included."""

    minimum_bytes: int
    maximum_bytes: int


@dataclass(frozen=True)
class Text:
    """A line of text.

    Attributes:
        meaning: what the text must be, as the end of the sentence "expected …".
        pattern: a regular expression that Python and RE2 read alike, for the whole text.
        max_length: in characters; Kubernetes needs it to bound the cost of its checks.
        secret: whether it may hold a password: then neither a message nor a repr shows it.
    """

    meaning: str = "a line of text"
    pattern: str = r"^[^\r\n]+$"
    max_length: int = 253
    secret: bool = False


@dataclass(frozen=True)
class Items:
    """A list or a mapping.

    Attributes:
        at_most: how many entries it may have; Kubernetes needs it to bound the cost of its checks.
        at_least: how few.
        each: the rule of one entry (of a mapping: of one value), where its type alone does not say enough.
        key: for a list of objects, the field that tells its entries apart; empty when the order matters instead.
        unique: for a list of texts, whether an entry may stand only once.
    """

    at_most: int
    at_least: int = 0
    each: Number | Text | None = None
    key: str = ""
    unique: bool = False


Rule = Number | Size | Text | Items


@dataclass(frozen=True)
class Setting:
    """One field, as read from a section's class.

    Attributes:
        attribute: its name in Python.
        name: its name in a resource.
        type: what it holds, without ``None``.
        description: one sentence or two.
        rule: its bounds, or None where the type says all.
        required: whether a resource must set it.
        default: what it is when the resource does not set it; of a section, one made of defaults.
    """

    attribute: str
    name: str
    type: Any
    description: str
    rule: Rule | None
    required: bool
    default: Any


def setting(description: str, *, default: Any = _REQUIRED, rule: Rule | None = None, name: str = "") -> Any:
    """Declare a field of a section.

    Args:
        description: what it does, with unit, and what 0 or leaving it out means.
        default: leave it out for a field that every resource must set.
        rule: bounds and form.
        name: its name in a resource, where camelCase of the attribute is not it.
    """
    metadata = {"description": description, "rule": rule, "name": name}
    shown = not (isinstance(rule, Text) and rule.secret)
    if default is _REQUIRED:
        return dataclasses.field(metadata=metadata, repr=shown)
    return dataclasses.field(default=default, metadata=metadata, repr=shown)


def section(description: str, make: Callable[[], Any]) -> Any:
    """Declare a section that exists, made of its defaults, when the resource leaves it out."""
    metadata = {"description": description, "rule": None, "name": ""}
    return dataclasses.field(default_factory=make, metadata=metadata)


@cache
def settings_of(section_type: type) -> tuple[Setting, ...]:
    """Return the fields of a section's class, in the order of declaration."""
    hints = typing.get_type_hints(section_type)
    return tuple(_setting(field, hints[field.name]) for field in dataclasses.fields(section_type))


def is_section(kind: Any) -> bool:
    """Tell whether a field of this type is a section with fields of its own."""
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


def _setting(field: dataclasses.Field[Any], hint: Any) -> Setting:
    rule = field.metadata["rule"]
    required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    default = None if required else field.default
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    return Setting(
        attribute=field.name,
        name=field.metadata["name"] or _camel_case(field.name.removesuffix("_bytes") if _is_size(rule) else field.name),
        type=_without_none(hint),
        description=field.metadata["description"],
        rule=rule,
        required=required,
        default=default,
    )


def _is_size(rule: Rule | None) -> bool:
    return isinstance(rule, Size)


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _without_none(hint: Any) -> Any:
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        held = [kind for kind in typing.get_args(hint) if kind is not type(None)]
        if len(held) == 1:
            return held[0]
    return hint
