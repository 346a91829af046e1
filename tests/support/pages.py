"""What a page of this machine answers, whatever its status."""

from __future__ import annotations

from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen


class Answer(NamedTuple):
    """One answer; status 0 and nothing where nobody answers."""

    status: int
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def get(url: str, *, seconds: float = 10, **headers: str) -> Answer:
    """Get a page with headers, such as ``accept``."""
    try:
        with urlopen(Request(url, headers=headers), timeout=seconds) as answer:
            return Answer(answer.status, answer.read())
    except HTTPError as error:
        with error:
            return Answer(error.code, error.read())
    except OSError:
        return Answer(0, b"")
