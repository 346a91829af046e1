"""The spec as a Kubernetes CustomResourceDefinition: structural OpenAPI schema, defaults, bounds and rules.

Kubernetes' own demands shape it: every list and text is bounded, since the API server estimates what a rule may cost;
a section with defaults has the default ``{}``, else those inside it would not be filled in; a field that may be left
out has no default at all.
"""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

from realtime_gateway.resource.fields import (
    Items,
    KubernetesObject,
    Number,
    Quantity,
    Rule,
    Setting,
    Size,
    Text,
    is_section,
    settings_of,
)
from realtime_gateway.resource.forms import DNS_LABEL
from realtime_gateway.resource.quantities import QUANTITY_PATTERN, SIZE_PATTERN, format_size
from realtime_gateway.resource.rules import rules_of
from realtime_gateway.resource.spec import GatewaySpec
from realtime_gateway.resource.status_schema import PRINTER_COLUMNS, status_schema

GROUP = "realtime-gateway.io"
VERSION = "v1alpha1"
PLURAL = "realtimegateways"

Schema = dict[str, Any]


def custom_resource_definition() -> Schema:
    """Return the CustomResourceDefinition as plain values."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": "RealtimeGateway",
                "listKind": "RealtimeGatewayList",
                "plural": PLURAL,
                "singular": "realtimegateway",
                "shortNames": ["rtg"],
                "categories": ["all"],
            },
            "versions": [_version()],
        },
    }


def _version() -> Schema:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        "additionalPrinterColumns": PRINTER_COLUMNS,
        "schema": {"openAPIV3Schema": _resource_schema()},
    }


def _resource_schema() -> Schema:
    return {
        "type": "object",
        "description": "A gateway for Django Channels: server processes, Redis shards and workers.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": {"description": "What should run.", **section_schema(GatewaySpec)},
            "status": status_schema(),
        },
        "x-kubernetes-validations": [
            {
                "rule": f"self.metadata.name.matches('{DNS_LABEL.pattern}') "
                f"&& size(self.metadata.name) <= {DNS_LABEL.max_length}",
                "message": f"metadata.name must be {DNS_LABEL.meaning}, of at most {DNS_LABEL.max_length} characters",
            }
        ],
    }


def section_schema(kind: type) -> Schema:
    """Return the schema of a section, with its fields in alphabetical order."""
    settings = sorted(settings_of(kind), key=lambda setting: setting.name)
    schema: Schema = {"type": "object", "properties": {setting.name: _field_schema(setting) for setting in settings}}
    required = [setting.name for setting in settings if setting.required]
    if required:
        schema["required"] = required
    rules = [{"rule": rule.cel, "message": rule.message} for rule in rules_of(kind)]
    if rules:
        schema["x-kubernetes-validations"] = rules
    return schema


def default_value(setting: Setting) -> Any:
    """Return the default as a resource would write it; None where leaving the field out means something of its own."""
    if is_section(type(setting.default)):
        return _set_fields(setting.default)
    if setting.default is None or setting.default == ():
        return None
    return format_size(setting.default) if isinstance(setting.rule, Size) else setting.default


def _set_fields(section: Any) -> Schema:
    """Return what a section differs in from one of defaults, all the way down."""
    given = {}
    kind: type = type(section)
    for setting in settings_of(kind):
        value = getattr(section, setting.attribute)
        if value != setting.default:
            given[setting.name] = _set_fields(value) if dataclasses.is_dataclass(value) else value
    return given


def _field_schema(setting: Setting) -> Schema:
    schema: Schema = {"description": setting.description, **_type_schema(setting.type, setting.rule)}
    default = default_value(setting)
    if default is not None:
        schema["default"] = default
    return schema


def _type_schema(kind: Any, rule: Rule | None) -> Schema:
    if is_section(kind):
        return section_schema(kind)
    if isinstance(rule, Items):
        return _list_schema(typing.get_args(kind)[0], rule) if _is_list(kind) else _named_schema(kind, rule)
    if kind is KubernetesObject:
        return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    if kind is Quantity or isinstance(rule, Size):
        return _quantity_schema(SIZE_PATTERN if isinstance(rule, Size) else QUANTITY_PATTERN)
    return _scalar_schema(kind, rule)


def _is_list(kind: Any) -> bool:
    return typing.get_origin(kind) is tuple


def _named_schema(kind: Any, rule: Items) -> Schema:
    values = _type_schema(typing.get_args(kind)[1], rule.each)
    return {"type": "object", "maxProperties": rule.at_most, "additionalProperties": values}


def _list_schema(kind: Any, rule: Items) -> Schema:
    schema: Schema = {"type": "array", "maxItems": rule.at_most, "items": _type_schema(kind, rule.each)}
    if rule.at_least:
        schema["minItems"] = rule.at_least
    if rule.key:
        return {**schema, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [rule.key]}
    return {**schema, "x-kubernetes-list-type": "set" if rule.unique else "atomic"}


def _quantity_schema(pattern: str) -> Schema:
    return {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": True,
        "pattern": pattern,
        "maxLength": 32,
    }


def _scalar_schema(kind: Any, rule: Rule | None) -> Schema:
    if kind is bool:
        return {"type": "boolean"}
    if typing.get_origin(kind) is typing.Literal:
        return {"type": "string", "enum": list(typing.get_args(kind))}
    if isinstance(rule, Number):
        bounds = {"minimum": rule.minimum, "maximum": rule.maximum}
        return {"type": "integer", "format": "int32", **bounds} if kind is int else {"type": "number", **bounds}
    text = rule if isinstance(rule, Text) else Text()
    return {"type": "string", "pattern": text.pattern, "maxLength": text.max_length}
