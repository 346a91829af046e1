"""YAML text to plain values and the line of each field, as kubectl reads it, with what would be a trap refused.

Refused are a name that stands twice in one object, an alias that contains itself, and tags of a program's own types.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from realtime_gateway.resource.values import Path, Wrong

# Far above any resource; aliases can make a small file stand for a huge document.
MOST_VALUES = 50_000

_KINDS = frozenset({"null", "bool", "int", "float", "timestamp", "str"})
_TRUE = frozenset({"true", "yes", "on"})
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]{1,3})?")
_STANDARD_TAG = "tag:yaml.org,2002:"


class NotYaml(ValueError):
    """The text is not YAML.

    Attributes:
        line: where, from 1, or None.
    """

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


def read_documents(text: str) -> list[Document]:
    """Return the documents that are not empty.

    Raises:
        NotYaml: the text is not YAML.
    """
    try:
        nodes = [node for node in yaml.compose_all(text, yaml.SafeLoader) if node.tag != f"{_STANDARD_TAG}null"]
        return [Document(node) for node in nodes]
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise NotYaml(f"is not YAML: {error.problem or error.context}", line) from error
    except yaml.YAMLError as error:
        raise NotYaml(f"is not YAML: {str(error).splitlines()[0]}") from error
    except RecursionError as error:
        raise NotYaml("is nested too deeply") from error


class Document:
    """One YAML document as plain values.

    Attributes:
        value: dicts, lists, texts, numbers, truth values, None.
        lines: the line of each field.
        wrong: what cannot be read as such.
    """

    def __init__(self, node: yaml.Node) -> None:
        self.lines: dict[Path, int] = {}
        self.wrong: list[Wrong] = []
        self._left = MOST_VALUES
        self._above: list[int] = []
        self.value = self._plain(node, ())

    def _plain(self, node: yaml.Node, path: Path) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        self._left -= 1
        if id(node) in self._above:
            return self._refuse(path, "an alias that contains itself")
        if self._left < 0:
            return self._refuse((), f"more than {MOST_VALUES} values") if self._left == -1 else None
        self._above.append(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return [self._plain(entry, (*path, index)) for index, entry in enumerate(node.value)]
            return self._scalar(node, path)
        finally:
            self._above.pop()

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        inherited: dict[str, Any] = {}
        for key, value in node.value:
            if key.tag == f"{_STANDARD_TAG}merge":
                inherited |= self._merged(value, path)
                continue
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if not isinstance(name, str):
                self._refuse(path, "a name must be text")
                continue
            if name in result:
                self.wrong.append(Wrong((*path, name), f"stands twice, again on line {key.start_mark.line + 1}"))
            self.lines.setdefault((*path, name), key.start_mark.line + 1)
            result[name] = self._plain(value, (*path, name))
        return {**inherited, **result}

    def _merged(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        """What ``<<: *alias`` brings; of several, the first wins."""
        result: dict[str, Any] = {}
        for source in _merge_sources(node):
            value = self._plain(source, path)
            if isinstance(value, dict):
                result = {**value, **result}
            else:
                self._refuse(path, "<< takes an object or a list of objects")
        return result

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        text = node.value
        if not isinstance(node, yaml.ScalarNode) or node.style is not None or node.tag == "!":
            return text
        kind = node.tag.removeprefix(_STANDARD_TAG)
        if kind not in _KINDS:
            return self._refuse(path, f"the tag {kind} is not supported")
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() in _TRUE
        return _number_or_text(text) if kind in ("int", "float") else text

    def _refuse(self, path: Path, message: str) -> None:
        self.wrong.append(Wrong(path, message))


def _merge_sources(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    else:
        yield node


def _number_or_text(text: str) -> int | float | str:
    """Numbers as JSON has them; what YAML 1.1 would add (dates, 1:30, 010, 1_000) stays text."""
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return float(text)
    return text
