"""The chart and the manifests as the objects that they come to."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "realtime-gateway"
MANIFESTS = ROOT / "manifests"
RELEASE = NAMESPACE = "realtime-gateway"
# Where the tests on a real Kubernetes build both programs.
BUILT = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "realtime-gateway" / "cluster" / "bin"

Object = dict[str, Any]


def program(name: str) -> str:
    """Find a program, or skip the test and say what is missing."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{BUILT}")
    if found is None:
        pytest.skip(f"{name} is missing; `make test-cluster` builds it")
    return found


def helm(*arguments: str, values: Mapping[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    """Run helm, whatever comes of it."""
    command = [program("helm"), *arguments, *(["-f", "-"] if values is not None else [])]
    return subprocess.run(
        command, input=json.dumps(values or {}), capture_output=True, text=True, check=False, timeout=60
    )


def try_render(values: Mapping[str, Any], *options: str) -> subprocess.CompletedProcess[str]:
    """Render the chart, whatever comes of it."""
    # A helm that was not built by its makers believes in a Kubernetes of long ago unless it is told.
    where = ("--namespace", NAMESPACE, "--kube-version", "1.35.4")
    return helm("template", RELEASE, str(CHART), *where, *options, values=values)


def render(values: Mapping[str, Any] | None = None, *options: str) -> list[Object]:
    """Render the chart and return its objects."""
    result = try_render(values or {}, *options)
    assert result.returncode == 0, result.stderr
    return objects(result.stdout)


def refusal(values: Mapping[str, Any]) -> str:
    """Return why the chart cannot be rendered with such values."""
    result = try_render(values)
    assert result.returncode != 0, "it was rendered"
    return result.stderr


def kustomized() -> list[Object]:
    """Return the objects of `kubectl apply -k manifests`."""
    command = [program("kubectl"), "kustomize", str(MANIFESTS)]
    return objects(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)


class Loader(yaml.CSafeLoader):
    """YAML in which no key stands twice, where the API server would silently take the last."""


def mapping(loader: Loader, node: yaml.MappingNode) -> Object:
    """Read a mapping."""
    keys = [key.value for key, _ in node.value]
    twice = {key for key in keys if keys.count(key) > 1}
    assert not twice, f"{node.start_mark}: {', '.join(sorted(twice))} more than once"
    return loader.construct_mapping(node, deep=True)


Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)


def objects(text: str) -> list[Object]:
    """Parse a stream of YAML documents."""
    return [document for document in yaml.load_all(text, Loader=Loader) if document]


def only(found: Sequence[Object], kind: str, name: str | None = None) -> Object:
    """Return the one object of a kind."""
    (one,) = (o for o in found if o["kind"] == kind and name in (None, o["metadata"]["name"]))
    return one


def verbs(rules: Sequence[Object]) -> dict[tuple[str, str], set[str]]:
    """Turn rules round: what may be done to what."""
    granted: dict[tuple[str, str], set[str]] = {}
    for rule in rules:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                granted.setdefault((group, resource), set()).update(rule["verbs"])
    return granted
