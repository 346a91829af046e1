"""Secrets that stand beside a RealtimeGateway in one YAML file, as for ``kubectl apply``."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from realtime_gateway.errors import ConfigurationError, Problem, ResourceInvalid
from realtime_gateway.resource.secret_files import secret_files
from realtime_gateway.resource.spec import RealtimeGateway
from realtime_gateway.resource.values import path_text

if TYPE_CHECKING:
    from realtime_gateway.resource.yaml_documents import Document

KIND = "Secret"
# At the start of a line these end a document, whatever stands around them (YAML 1.2 section 9.1.2).
_MARKER = re.compile(r"(---|\.\.\.)(\s|$)")
Secret = Mapping[str, bytes]


def secret_contents(resource: RealtimeGateway, content: bytes, path: FilePath) -> dict[str, bytes]:
    """Return what the files have to hold that processes of a resource read, by their paths below one directory.

    Args:
        resource: as it was parsed from the file.
        content: of the file.
        path: of the file.

    Raises:
        ConfigurationError: a Secret that the resource refers to, or its key, is not in the file.
        ResourceInvalid: a Secret in it cannot be read.
    """
    wanted = secret_files(resource.spec)
    if not wanted:
        return {}
    secrets = _secrets(content, path)
    found: dict[str, bytes] = {}
    for file, ref in wanted.items():
        secret = secrets.get((resource.namespace, ref.name))
        if secret is None:
            raise ConfigurationError(
                f"{path}: the resource refers to the Secret {ref.name}, and the file has none of that name in the "
                f"namespace {resource.namespace}.",
                "Write the resource as YAML: a file of JSON holds one document, and no Secret beside it."
                if path.suffix == ".json"
                else "Add it as another document of kind Secret, after a line with ---.",
            )
        if ref.key not in secret:
            raise ConfigurationError(
                f"{path}: the resource refers to the key {ref.key} of the Secret {ref.name}, which has "
                f"{', '.join(sorted(secret)) or 'no keys'}.",
                "Add it under stringData.",
            )
        found[file] = secret[ref.key]
    return found


def without_secrets(content: bytes, path: FilePath) -> bytes:
    """Return the file with blank lines in the place of Secrets, so that every line keeps its number."""
    if path.suffix == ".json":
        return content
    text = content.decode("utf-8-sig")
    secret_lines = {document.lines[()] for document in _documents(text) if _is_secret(document)}
    kept: list[str] = []
    for first, lines in _pieces(text):
        is_secret = any(first <= line < first + len(lines) for line in secret_lines)
        kept += [_blank(line) for line in lines] if is_secret else lines
    return "".join(kept).encode()


def _blank(line: str) -> str:
    """A document may begin on the line of its marker."""
    return line[:3] + "\n" if _MARKER.match(line) else "\n"


def _pieces(text: str) -> Iterator[tuple[int, list[str]]]:
    """The documents of a text as lines, each with the number of its first line; a marker begins a piece."""
    first, lines = 1, list[str]()
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if _MARKER.match(line) and lines:
            yield first, lines
            first, lines = number, []
        lines.append(line)
    yield first, lines


def _secrets(content: bytes, path: FilePath) -> dict[tuple[str, str], Secret]:
    if path.suffix == ".json":
        return {}  # one document, which is the resource
    found: dict[tuple[str, str], Secret] = {}
    for document in _documents(content.decode("utf-8-sig")):
        if _is_secret(document):
            if document.wrong:
                raise _wrong(document, path, document.wrong[0].path, document.wrong[0].message)
            metadata = document.value.get("metadata")
            metadata = metadata if isinstance(metadata, Mapping) else {}
            place = str(metadata.get("namespace") or "default"), str(metadata.get("name") or "")
            if place in found:
                raise _wrong(document, path, ("metadata", "name"), f"there is another Secret {place[1]} in this file")
            found[place] = _read(document, path)
    return found


def _read(document: Document, path: FilePath) -> Secret:
    values: dict[str, bytes] = {}
    for name, value in _entries(document, "data", path):
        try:
            values[name] = base64.b64decode("".join(value.split()), validate=True)
        except (binascii.Error, ValueError):
            raise _wrong(document, path, ("data", name), "is not base64; plain text goes under stringData") from None
    # As for the API server, plain text wins.
    return {**values, **{name: value.encode() for name, value in _entries(document, "stringData", path)}}


def _entries(document: Document, field: str, path: FilePath) -> Iterator[tuple[str, str]]:
    given = document.value.get(field)
    if given is None:
        return
    if not isinstance(given, Mapping):
        raise _wrong(document, path, (field,), "expected an object")
    for name, value in given.items():
        if not isinstance(value, str):
            raise _wrong(document, path, (field, name), "expected text; put it in quotes")
        yield name, value


def _documents(text: str) -> list[Document]:
    from realtime_gateway.resource.yaml_documents import read_documents

    return read_documents(text)


def _is_secret(document: Document) -> bool:
    return isinstance(document.value, Mapping) and document.value.get("kind") == KIND


def _wrong(document: Document, path: FilePath, field: tuple[Any, ...], what: str) -> ResourceInvalid:
    line = document.lines.get(field) or document.lines.get(field[:1]) or document.lines.get(())
    return ResourceInvalid((Problem(str(path), line, f"{KIND} {path_text(field)}".rstrip(), what),))
