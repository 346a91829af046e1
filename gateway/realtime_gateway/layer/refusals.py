"""What Redis's errors mean to whoever sends, and what he can do about them."""

from __future__ import annotations

import re

# By the first word of the error, as Redis writes it.
REMEDIES = {
    "OOM": "It has reached its maxmemory and may evict nothing: give it more memory, or keep less history "
    "(history_seconds, history_messages).",
    "READONLY": "It is a replica: name the primary in hosts, or Sentinels that know it.",
    "NOAUTH": "It wants a password: write it in hosts, or name its file in REALTIME_GATEWAY_REDIS_PASSWORD_FILE.",
    "WRONGPASS": "Correct the user name or the password in hosts, or in the file that "
    "REALTIME_GATEWAY_REDIS_PASSWORD_FILE names.",
    "NOPERM": "Give its user the commands, keys and channels that docs/channel-layer.md lists.",
    "MISCONF": "It cannot save its data and so refuses writes: look at its disk and its log.",
    "LOADING": "It is reading its data after a start; wait, or raise send_timeout.",
    "BUSY": "Somebody's script holds it up; SCRIPT KILL ends one that has written nothing.",
    "NOREPLICAS": "Fewer replicas follow it than its min-replicas-to-write asks for.",
    "MASTERDOWN": "It is a replica that has lost its primary: name the primary in hosts, or Sentinels that know it.",
    "WRONGTYPE": "Another program uses its keys: give the channel layer a prefix of its own.",
    "maxclients": "It has as many connections as its maxclients allows.",
}
# Words of errors whose first word, where there is one, says nothing.
_BY_WORDS = (
    ("max number of clients reached", "maxclients"),
    ("Script killed by user", "BUSY"),
    ("Authentication required", "NOAUTH"),
    ("invalid username-password pair", "WRONGPASS"),
    ("executing the script can't", "NOPERM"),
    ("ACL failure in script", "NOPERM"),
    ("the server is a replica", "READONLY"),
    ("loading the dataset in memory", "LOADING"),
)
# Which script it was, and where, says nothing to whoever sends a message.
_IN_SCRIPT = re.compile(r",? ?script: [0-9a-f]{40}, on @user_script:\d+\.?")
_CODE = re.compile(r"\b[A-Z]{3,}\b")


def remedy_for(text: str) -> str:
    """Return what can be done about an error that a shard has answered; "" where nothing is known."""
    for words, code in _BY_WORDS:
        if words in text:
            return REMEDIES[code]
    return next((REMEDIES[code] for code in _CODE.findall(text) if code in REMEDIES), "")


def readable(text: str) -> str:
    """Return an error as one clause of a sentence."""
    return _IN_SCRIPT.sub("", text).rstrip(". ")


def with_code(text: str) -> str:
    """Return an error as Redis wrote it: client libraries cut the first word off and make a class of it."""
    if _CODE.match(text):
        return text
    return next((f"{code} {text}" for words, code in _BY_WORDS if words in text and code.isupper()), text)
