"""A decoded resource (dicts, lists, texts, numbers) to the spec, with everything that is wrong in it at once.

Pure: no files, no YAML; `reading` brings the document and the line of each field.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from realtime_gateway.errors import Problem, ResourceInvalid
from realtime_gateway.resource.fields import Setting, Text, is_section, settings_of
from realtime_gateway.resource.forms import DNS_LABEL, OBJECT_NAME
from realtime_gateway.resource.rules import rules_of
from realtime_gateway.resource.spec import GatewaySpec, RealtimeGateway
from realtime_gateway.resource.support import KUBERNETES_ONLY, NOT_BUILT
from realtime_gateway.resource.values import Path, Wrong, described, entries, path_text, read_scalar

API_VERSION = "realtime-gateway.io/v1alpha1"
KIND = "RealtimeGateway"
_TOP_FIELDS = ("apiVersion", "kind", "metadata", "spec", "status")
# Of Kubernetes' ObjectMeta; all but name and namespace are read over.
_METADATA_FIELDS = (
    *("name", "namespace", "labels", "annotations", "generateName", "finalizers", "ownerReferences", "managedFields"),
    *("uid", "resourceVersion", "generation", "selfLink"),
    *("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"),
)


@dataclass(frozen=True)
class Source:
    """Where a decoded resource came from.

    Attributes:
        name: what to call it in problems, such as its file's name.
        lines: the line, from 1, on which each field stands, where known.
        wrong: what was found wrong with it while it was decoded.
    """

    name: str = "resource"
    lines: Mapping[Path, int] = field(default_factory=dict)
    wrong: tuple[Wrong, ...] = ()


def parse_resource(document: object, source: Source | None = None) -> RealtimeGateway:
    """Check a decoded resource and build it.

    Args:
        document: what a JSON or YAML parser made of it.
        source: where it came from.

    Raises:
        ResourceInvalid: with every problem found.
    """
    source = source or Source()
    parser = _Parser(source.wrong)
    resource = parser.resource(document)
    if parser.wrong or resource is None:
        raise ResourceInvalid(_located(parser.wrong, source))
    return resource


def _located(wrong: Iterable[Wrong], source: Source) -> tuple[Problem, ...]:
    """Give each problem its file and line (of the nearest enclosing field that has one), in the file's order."""
    problems = [Problem(source.name, _line(one.path, source.lines), path_text(one.path), one.message) for one in wrong]
    return tuple(sorted(problems, key=lambda problem: problem.line or 0))


def _line(path: Path, lines: Mapping[Path, int]) -> int | None:
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path)


class _Parser:
    """One pass over one document; where something is wrong it notes it and goes on with the field's default."""

    def __init__(self, wrong: Iterable[Wrong]) -> None:
        self.wrong = list(wrong)
        self.ignored_locally: list[str] = []

    def resource(self, document: object) -> RealtimeGateway | None:
        if not isinstance(document, Mapping):
            self._note((), f"expected an object with {', '.join(_TOP_FIELDS[:4])}, not {described(document)}")
            return None
        self._unknown(document, _TOP_FIELDS, ())
        self._constant(document, "apiVersion", API_VERSION)
        self._constant(document, "kind", KIND)
        name, namespace = self._metadata(document.get("metadata"))
        if document.get("spec") is None:
            self._note(("spec",), "missing; it says what should run")
            return None
        spec = self._section(GatewaySpec, document["spec"], ("spec",))
        if self.wrong:
            return None
        return RealtimeGateway(name, namespace, spec, tuple(self.ignored_locally))

    def _constant(self, document: Mapping[Any, Any], name: str, expected: str) -> None:
        value = document.get(name)
        if value is None:
            self._note((name,), f"missing; expected {expected}")
        elif value != expected:
            self._note((name,), f"expected {expected}, not {described(value)}")

    def _metadata(self, metadata: object) -> tuple[str, str]:
        path = ("metadata",)
        if not isinstance(metadata, Mapping):
            what = "missing" if metadata is None else f"expected an object, not {described(metadata)}"
            self._note((*path, "name") if metadata is None else path, what)
            return "", ""
        self._unknown(metadata, _METADATA_FIELDS, path)
        if metadata.get("name") is None:
            self._note((*path, "name"), "missing")
        name = self._text(metadata, "name", DNS_LABEL, "")
        return name, self._text(metadata, "namespace", OBJECT_NAME, "default")

    def _text(self, metadata: Mapping[Any, Any], name: str, rule: Text, default: str) -> str:
        if metadata.get(name) is None:
            return default
        value = read_scalar(str, rule, metadata[name], ("metadata", name))
        return default if self._noted(value) else str(value)

    def _section(self, kind: type, value: object, path: Path) -> Any:
        """Build a section, or return None after noting what is wrong with it."""
        if not isinstance(value, Mapping):
            self._note(path, f"expected an object, not {described(value)}")
            return None
        known = settings_of(kind)
        self._unknown(value, [setting.name for setting in known], path)
        before = len(self.wrong)
        values = {setting.attribute: self._field(setting, value, path) for setting in known}
        if len(self.wrong) > before:
            return None
        built = kind(**values)
        for rule in rules_of(kind):
            if rule.holds is not None and not rule.holds(built):
                self._note(path, rule.message)
        return built

    def _field(self, setting: Setting, holder: Mapping[Any, Any], path: Path) -> Any:
        given = holder.get(setting.name)
        path = (*path, setting.name)
        if given is None:
            if setting.required:
                self._note(path, f"missing. {setting.description}")
            return setting.default
        before = len(self.wrong)
        value = self._value(setting, given, path)
        if len(self.wrong) == before and value != setting.default:
            self._check_support(path)
        return value

    def _value(self, setting: Setting, given: object, path: Path) -> Any:
        if is_section(setting.type):
            return self._section(setting.type, given, path)
        items = entries(setting, given, path)
        if items is None:
            value = read_scalar(setting.type, setting.rule, given, path)
            return setting.default if self._noted(value) else value
        for wrong in items.wrong:
            self.wrong.append(wrong)
        read = [(key, self._entry(items.kind, items.rule, entry, (*path, key))) for key, entry in items.entries]
        return dict(read) if items.by_name else tuple(value for _, value in read)

    def _entry(self, kind: Any, rule: Any, entry: object, path: Path) -> Any:
        if is_section(kind):
            return self._section(kind, entry, path)
        value = read_scalar(kind, rule, entry, path)
        return None if self._noted(value) else value

    def _check_support(self, path: Path) -> None:
        below = ".".join(str(step) for step in path[1:] if isinstance(step, str))
        if below in NOT_BUILT:
            self._note(path, "not built yet; leave it out")
        elif below in KUBERNETES_ONLY:
            self.ignored_locally.append(path_text(path))

    def _unknown(self, value: Mapping[Any, Any], known: Iterable[str], path: Path) -> None:
        names = list(known)
        lower = {name.lower(): name for name in names}
        for name in value:
            if name not in names:
                near = difflib.get_close_matches(str(name).lower().replace("_", ""), lower, n=1)
                hint = f"; did you mean {lower[near[0]]}?" if near else f"; known here: {', '.join(sorted(names))}"
                self._note((*path, str(name)), f"unknown field{hint}")

    def _noted(self, value: object) -> bool:
        if isinstance(value, Wrong):
            self.wrong.append(value)
            return True
        return False

    def _note(self, path: Path, message: str) -> None:
        self.wrong.append(Wrong(path, message))
