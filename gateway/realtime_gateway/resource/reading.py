"""A file to a resource: JSON or YAML text becomes plain values and the line of each field.

A YAML file may hold several documents, as for ``kubectl apply``; one of them is the RealtimeGateway.
"""

from __future__ import annotations

import json
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from realtime_gateway.errors import Problem, ResourceInvalid
from realtime_gateway.resource.parsing import KIND, Source, parse_resource
from realtime_gateway.resource.spec import RealtimeGateway
from realtime_gateway.resource.values import Wrong

if TYPE_CHECKING:
    from realtime_gateway.resource.yaml_documents import Document


def load_resource(path: FilePath) -> RealtimeGateway:
    """Read the RealtimeGateway in a JSON (``.json``) or YAML file.

    Raises:
        ResourceInvalid: the file cannot be read, or what it holds cannot be used; with every problem found.
    """
    return parse_content(read_content(path), path)


def read_content(path: FilePath) -> bytes:
    """Read the file alone, for who must know that what was parsed is what was read.

    Raises:
        ResourceInvalid: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(str(path), f"cannot be read: {error.strerror or error}") from error


def parse_content(content: bytes, path: FilePath) -> RealtimeGateway:
    """Parse what ``path`` held when it was read.

    Raises:
        ResourceInvalid: with every problem found.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(str(path), "is not text in UTF-8") from error
    return parse_json(text, str(path)) if path.suffix == ".json" else parse_yaml(text, str(path))


def parse_json(text: str, source: str) -> RealtimeGateway:
    """Read a resource written as JSON; needs nothing but the standard library.

    Raises:
        ResourceInvalid: with every problem found.
    """
    twice: list[str] = []

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in found]
        twice.extend(sorted({name for name in names if names.count(name) > 1}))
        return dict(found)

    try:
        document = json.loads(text, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        raise _unreadable(source, f"is not JSON: {error.msg}", error.lineno) from error
    except (ValueError, RecursionError) as error:
        raise _unreadable(source, "is not JSON that can be read: a number too long, or nested too deeply") from error
    return parse_resource(document, _json_source(text, source, twice))


def _json_source(text: str, source: str, twice: list[str]) -> Source:
    """Nearly all JSON is YAML too: where PyYAML is installed, it knows on which line each field stands."""
    try:
        from realtime_gateway.resource.yaml_documents import read_documents

        [document] = read_documents(text)
    except (ImportError, ValueError):
        return Source(source, wrong=tuple(Wrong((), f"{name} stands twice in one object") for name in twice))
    return Source(source, document.lines, tuple(document.wrong))


def parse_yaml(text: str, source: str) -> RealtimeGateway:
    """Read a resource written as YAML.

    Raises:
        ResourceInvalid: with every problem found.
    """
    try:
        from realtime_gateway.resource.yaml_documents import NotYaml, read_documents
    except ImportError as error:
        raise _unreadable(
            source, "is YAML, which needs PyYAML: pip install 'realtime-gateway[local]', or write it as JSON"
        ) from error
    try:
        documents = read_documents(text)
    except NotYaml as error:
        raise _unreadable(source, str(error), error.line) from error
    document = _the_resource(documents, source)
    return parse_resource(document.value, Source(source, document.lines, tuple(document.wrong)))


def _the_resource(documents: list[Document], source: str) -> Document:
    if len(documents) == 1:
        return documents[0]
    found = [each for each in documents if isinstance(each.value, dict) and each.value.get("kind") == KIND]
    if len(found) == 1:
        return found[0]
    raise _unreadable(source, f"holds {len(found) or 'no'} documents of kind {KIND}; one is expected")


def _unreadable(source: str, what: str, line: int | None = None) -> ResourceInvalid:
    return ResourceInvalid((Problem(source, line, "", what),))
