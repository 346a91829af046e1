"""The status of a RealtimeGateway, which the operator writes and people read, as a schema; and its printed columns."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

MOST_SHARDS = 64

PRINTER_COLUMNS: list[Schema] = [
    {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
    {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
    {"name": "Replicas", "type": "integer", "jsonPath": ".status.replicas"},
    {"name": "Connections", "type": "integer", "jsonPath": ".status.connections"},
    {"name": "Epoch", "type": "integer", "jsonPath": ".status.hosts.epoch", "priority": 1},
    {"name": "URL", "type": "string", "jsonPath": ".status.url"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
]


def status_schema() -> Schema:
    """Return the schema of ``status``."""
    return _object(
        "What was seen last.",
        {
            "observedGeneration": _count("The generation of the spec that the rest of the status is about."),
            "phase": _text("One word for people; programs read the conditions."),
            "replicas": _count("How many gateway processes there are."),
            "selector": _text("The labels of the gateway pods, for the scale subresource.", 4096),
            "connections": _count("Open connections over all gateway processes."),
            "url": _text("Where clients connect.", 2048),
            "conditions": _by_key(_condition(), "type", 16, "The state, one aspect each."),
            "hosts": _hosts(),
            "shards": _by_key(_shard(), "name", MOST_SHARDS, "Each shard as it was seen."),
        },
    )


def _hosts() -> Schema:
    return _object(
        "The host list.",
        {
            "epoch": _count("The epoch of the host list."),
            "shards": {
                "type": "array",
                "description": "The names of its shards.",
                "items": {"type": "string", "maxLength": 253},
                "maxItems": MOST_SHARDS,
                "x-kubernetes-list-type": "set",
            },
            "podsAtEpoch": _count("How many of the processes that have used the channel layer work with this epoch."),
        },
    )


def _shard() -> Schema:
    fields = {
        "name": _text("The shard's name."),
        "primary": _text("Where its primary is."),
        "replicas": _count("How many replicas follow it."),
        "sentinels": _count("How many Sentinels watch it."),
        "healthy": {"type": "boolean", "description": "Whether it takes writes and can fail over."},
    }
    return {**_object("One shard.", fields), "required": ["name"]}


def _condition() -> Schema:
    """A condition as in metav1.Condition."""
    fields = {
        "type": _text("The aspect.", 316),
        "status": {"type": "string", "enum": ["True", "False", "Unknown"], "description": "Whether it holds."},
        "observedGeneration": _count("The generation of the spec that this is about."),
        "lastTransitionTime": {"type": "string", "format": "date-time", "description": "Since when the status holds."},
        "reason": _text("Why, as one word for programs.", 1024),
        "message": _text("Why, as a sentence for people.", 32768),
    }
    required = ["type", "status", "lastTransitionTime", "reason", "message"]
    return {**_object("One condition.", fields), "required": required}


def _object(description: str, fields: Schema) -> Schema:
    return {"type": "object", "description": description, "properties": dict(sorted(fields.items()))}


def _by_key(items: Schema, key: str, at_most: int, description: str) -> Schema:
    return {
        "type": "array",
        "description": description,
        "items": items,
        "maxItems": at_most,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": [key],
    }


def _count(description: str) -> Schema:
    return {"type": "integer", "format": "int64", "minimum": 0, "description": description}


def _text(description: str, max_length: int = 253) -> Schema:
    return {"type": "string", "maxLength": max_length, "description": description}
