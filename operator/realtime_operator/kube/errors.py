"""What the API server refuses, sorted by whether trying again can help, in the words of conditions.

An answer of 409 and 429, and any of 5xx but one, may be another tomorrow; what a person must change is permanent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from realtime_gateway.errors import GatewayError

# In a message of a conflict an editor stands with the version that it used, an owner by server-side apply without.
_CONFLICT = re.compile(r'conflict with "([^"]*)"(?: with subresource "[^"]*")?( using )?')
# Server-side apply answers a manifest with an unknown field with 500 and this.
_UNTYPED = "failed to create typed patch object"


@dataclass(frozen=True)
class Refusal:
    """How an answer counts.

    Attributes:
        kind: forbidden, quota, conflict, immutable, rejected, gone, unserved, exists or unavailable.
        permanent: whether trying again without a change cannot help.
    """

    kind: str
    permanent: bool


class KubeError(GatewayError):
    """The API server refused a call, or did not answer it.

    Attributes:
        status: the HTTP status; 0 when there was no answer.
        details: Kubernetes' own Status object, as far as there was one.
    """

    def __init__(self, status: int, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.details = details or {}

    @property
    def refusal(self) -> Refusal:
        """How it counts."""
        if self.status == 403:
            kind = "quota" if "exceeded quota" in self.message else "forbidden"
            return Refusal(kind, permanent=False)
        if self.status == 404:
            # Where an object, or its namespace, is not there, the answer names it; of an unknown kind it names nothing.
            named = self.details.get("details", {}).get("name")
            return Refusal("gone" if named else "unserved", permanent=False)
        if self.status == 409:
            exists = self.details.get("reason") == "AlreadyExists"
            return Refusal("exists" if exists else "conflict", permanent=False)
        if self.status in (400, 415, 422) or _UNTYPED in self.message:
            immutable = "updates to statefulset spec for fields other than" in self.message
            return Refusal("immutable" if immutable else "rejected", permanent=True)
        return Refusal("unavailable", permanent=False)

    @property
    def owners(self) -> tuple[str, ...]:
        """Of an apply conflict: field managers that own a field by server-side apply, and so will set it again."""
        causes = self.details.get("details", {}).get("causes", ())
        found = [_CONFLICT.search(cause.get("message", "")) for cause in causes]
        return tuple(sorted({match[1] for match in found if match is not None and not match[2]}))


def from_answer(status: int, body: str) -> KubeError:
    """Build the error of an answer that is not a success."""
    try:
        details = json.loads(body)
    except ValueError:
        details = {}
    if not isinstance(details, dict):
        details = {}
    return KubeError(status, str(details.get("message") or body[:200] or f"HTTP {status}"), details)
