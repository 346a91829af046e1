"""Pure. What a request's first line asks for (RFC 9112 section 3.2), in the one form that applications know."""

from __future__ import annotations

import re

# Without user information, which RFC 9110 section 4.2.4 does not let a client send.
_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?#@]+)([/?].*)?")

_PRINTABLE = re.compile(rb"[!-~]+")


def origin_form(target: bytes) -> tuple[bytes | None, bytes]:
    """Return the host that a target in absolute form names, and its path and query; any other target as it is."""
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        return None, target
    host, rest = absolute[1], absolute[2] or b"/"
    return host, rest if rest.startswith(b"/") else b"/" + rest


def problem(method: bytes, target: bytes) -> str:
    """Say what is wrong with a target, which has been brought into origin form; nothing where it can be served."""
    if method == b"CONNECT":  # with HTTP/2 also one with :protocol (RFC 8441), which we have not offered
        return "CONNECT is not served"
    if not _PRINTABLE.fullmatch(target):
        return "Invalid characters in path or query string"
    if not (target.startswith(b"/") or (method, target) == (b"OPTIONS", b"*")):
        return "Invalid path"
    return ""
