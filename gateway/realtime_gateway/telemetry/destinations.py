"""What a span calls the place that a message goes to: a template, since names of groups hold names of people and rooms.

chat_lobby, user_42, room.7     → chat_{name}, user_{name}, room.{name}
lobby, 7f3a…                    → {group}
specific.1b2c…!9d8e…            → {channel}
thumbnails-generate (a queue)   → as it is: workers are configured by it
"""

from __future__ import annotations

import re

# The first word of a name is taken for a kind of group when more follows.
_KIND = re.compile(r"([A-Za-z]{1,32}[_.:-]).+", re.DOTALL)
# Where people's names come first, words are as many as people; then no new one is shown.
_MOST_TEMPLATES = 64


class Templates:
    """The templates of one process; their number is bounded whatever names come by."""

    def __init__(self) -> None:
        self._words: set[str] = set()

    def of(self, kind: str, name: str) -> str:
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
