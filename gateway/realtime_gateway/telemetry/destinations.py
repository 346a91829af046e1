"""What a span calls the place that a message goes to: a template, since names of groups hold names of people and rooms.

chat_lobby, user_42, room.7     → chat_{name}, user_{name}, room.{name}
lobby, 7f3a…                    → {group}
specific.1b2c…!9d8e…            → {channel}
thumbnails-generate (a queue)   → as it is: workers are configured by it

Beside the template a span may have the name itself, or a keyed hash of it: the same for the same name in every process
of a site, and nothing that can be guessed from outside.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Literal, TypeAlias

Names: TypeAlias = Literal["template", "hashed", "raw"]

# The first word of a name is taken for a kind of group when more follows.
_KIND = re.compile(r"([A-Za-z]{1,32}[_.:-]).+", re.DOTALL)
# Where people's names come first, words are as many as people; then no new one is shown.
_MOST_TEMPLATES = 64
_HASH_BYTES = 8


class Destinations:
    """What the spans of one process call destinations; the number of templates is bounded whatever names come by.

    Args:
        names: what a span has beside the template: nothing, a hash of the name, or the name.
        key: of the hash, the same in all processes of a site.
    """

    def __init__(self, names: Names = "template", key: bytes = b"") -> None:
        self.names = names
        self._key = blake2b(key).digest()
        self._words: set[str] = set()

    def template_of(self, kind: str, name: str) -> str:
        """Return the template of a destination; ``kind`` is ``group``, ``channel`` or ``queue``."""
        if kind == "queue":
            return name
        found = _KIND.fullmatch(name) if kind == "group" else None
        if found is None:
            return f"{{{kind}}}"
        word = found[1]
        if word not in self._words:
            if len(self._words) >= _MOST_TEMPLATES:
                return f"{{{kind}}}"
            self._words.add(word)
        return f"{word}{{name}}"

    def name_of(self, name: str) -> str | None:
        """Return what a span says of the name itself; None where it says nothing."""
        if self.names == "template":
            return None
        if self.names == "raw":
            return name
        return blake2b(name.encode(), key=self._key, digest_size=_HASH_BYTES).hexdigest()
