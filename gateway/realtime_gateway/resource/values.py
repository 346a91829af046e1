"""One value of a resource against its type and rule: the value to use, or what is wrong with it."""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from realtime_gateway.resource.fields import Items, KubernetesObject, Number, Quantity, Rule, Setting, Size, Text
from realtime_gateway.resource.quantities import format_size, is_quantity, parse_size

# The way to a field: names of fields, and indices of lists.
Path = tuple[str | int, ...]

_LONGEST_NAME = 317
_SHOWN_CHARACTERS = 60
_PLAIN_NAME = re.compile(r"[\w./-]{1,100}")


@dataclass(frozen=True)
class Wrong:
    """Something wrong with one field."""

    path: Path
    message: str


@dataclass(frozen=True)
class Entries:
    """The entries of a list or a mapping, each yet to be read.

    Attributes:
        entries: index or name, and what stands there.
        kind: the type of an entry.
        rule: the rule of an entry.
        by_name: whether it is a mapping.
        wrong: what is wrong with the list as a whole.
    """

    entries: tuple[tuple[str | int, object], ...]
    kind: Any
    rule: Rule | None
    by_name: bool
    wrong: tuple[Wrong, ...]


def path_text(path: Path) -> str:
    """Write a path as people do: ``spec.workers[0].name``; a name that would not fit into that is quoted."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_NAME.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f"[{described(step)}]"
    return text


def described(value: object) -> str:
    """Show a value in a message, by its kind alone where it has parts."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, str | bool | int | float):
        text = json.dumps(value, ensure_ascii=False)
        return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
    return f"a value of type {type(value).__name__}"


def read_scalar(kind: Any, rule: Rule | None, value: object, path: Path) -> Any:
    """Return the value that a field of this type and rule takes, or a Wrong."""
    if typing.get_origin(kind) is typing.Literal:
        expected = _choice(typing.get_args(kind), value)
    elif kind is KubernetesObject:
        expected = "" if isinstance(value, Mapping) else "an object"
    elif kind is Quantity:
        if _is_quantity(value):
            return str(value)
        expected = "a quantity such as 500m or 256Mi"
    elif kind is bool:
        expected = "" if isinstance(value, bool) else "true or false"
    elif isinstance(rule, Size):
        return _size(rule, value, path)
    elif isinstance(rule, Number):
        expected = _number(kind, rule, value)
    else:
        return _text(rule if isinstance(rule, Text) else Text(), value, path)
    return Wrong(path, f"expected {expected}, not {described(value)}") if expected else value


def entries(setting: Setting, given: object, path: Path) -> Entries | None:
    """Take a list or a mapping apart; None when the field holds neither."""
    origin = typing.get_origin(setting.type)
    rule = setting.rule
    if origin is tuple and isinstance(rule, Items):
        return _list_entries(typing.get_args(setting.type)[0], rule, given, path)
    if isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(rule, Items):
        return _named_entries(typing.get_args(setting.type)[1], rule, given, path)
    return None


def _list_entries(kind: Any, rule: Items, given: object, path: Path) -> Entries:
    if not isinstance(given, list | tuple):
        wrong = Wrong(path, f"expected a list, not {described(given)}")
        return Entries((), kind, rule.each, by_name=False, wrong=(wrong,))
    wrongs = [*_count(rule, len(given), path), *_twice(rule, given, path)]
    shown = tuple(enumerate(given[: rule.at_most]))
    return Entries(shown, kind, rule.each, by_name=False, wrong=tuple(wrongs))


def _named_entries(kind: Any, rule: Items, given: object, path: Path) -> Entries:
    if not isinstance(given, Mapping):
        wrong = Wrong(path, f"expected an object, not {described(given)}")
        return Entries((), kind, rule.each, by_name=True, wrong=(wrong,))
    wrongs = _count(rule, len(given), path)
    bad = [name for name in given if not (isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME)]
    wrongs += [
        Wrong(path, f"expected a name of at most {_LONGEST_NAME} letters, not {described(name)}") for name in bad
    ]
    named = tuple((str(name), value) for name, value in given.items())
    return Entries(named[: rule.at_most], kind, rule.each, by_name=True, wrong=tuple(wrongs))


def _count(rule: Items, count: int, path: Path) -> list[Wrong]:
    if rule.at_least <= count <= rule.at_most:
        return []
    return [Wrong(path, f"expected {rule.at_least} to {rule.at_most} entries, not {count}")]


def _twice(rule: Items, given: list[Any] | tuple[Any, ...], path: Path) -> list[Wrong]:
    """Find entries of a list that should be told apart and are not."""
    if rule.key:
        names = [entry.get(rule.key) if isinstance(entry, Mapping) else None for entry in given]
    else:
        names = list(given) if rule.unique else []
    seen: set[str] = set()
    wrongs = []
    for index, name in enumerate(names):
        if isinstance(name, str) and name in seen:
            where = (*path, index, rule.key) if rule.key else (*path, index)
            wrongs.append(Wrong(where, f"{described(name)} stands twice in this list"))
        elif isinstance(name, str):
            seen.add(name)
    return wrongs


def _choice(options: tuple[Any, ...], value: object) -> str:
    return "" if isinstance(value, str) and value in options else f"one of {', '.join(options)}"


def _is_quantity(value: object) -> bool:
    if isinstance(value, str):
        return is_quantity(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _number(kind: Any, rule: Number, value: object) -> str:
    """Say what was expected, or nothing where the value fits."""
    accepted = int if kind is int else int | float
    if isinstance(value, accepted) and not isinstance(value, bool) and rule.minimum <= value <= rule.maximum:
        return ""
    return f"{'a whole number' if kind is int else 'a number'} from {rule.minimum} to {rule.maximum}"


def _size(rule: Size, value: object, path: Path) -> int | Wrong:
    size = parse_size(value) if isinstance(value, str) else value
    if isinstance(size, int) and not isinstance(size, bool) and rule.minimum_bytes <= size <= rule.maximum_bytes:
        return size
    bounds = f"from {format_size(rule.minimum_bytes)} to {format_size(rule.maximum_bytes)}"
    return Wrong(path, f"expected a size in bytes such as 1Mi, {bounds}, not {described(value)}")


def _text(rule: Text, value: object, path: Path) -> str | Wrong:
    if not isinstance(value, str):
        quotes = "; put it in quotes" if isinstance(value, bool | int | float) else ""
        return Wrong(path, f"expected {rule.meaning}, not {described(value)}{quotes}")
    if len(value) > rule.max_length:
        return Wrong(path, f"expected {rule.meaning}, of at most {rule.max_length} characters, not {len(value)}")
    if not re.fullmatch(rule.pattern, value, re.ASCII):
        return Wrong(path, f"expected {rule.meaning}" + ("" if rule.secret else f", not {described(value)}"))
    return value
