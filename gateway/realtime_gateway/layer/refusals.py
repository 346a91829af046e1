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
    "tls expired": "Its certificate has expired, or this machine's clock is wrong: renew it.",
    "tls too early": "Its certificate is not valid yet: wait, or look at this machine's clock.",
    "tls name": "Its certificate is for another name: give it one for this name, or say with ssl_server_name or "
    "REALTIME_GATEWAY_REDIS_TLS_NAME which name it has. If it had the right one before, somebody else answers.",
    "tls authority": "Its certificate is of an authority that is not trusted here: name the right one in "
    "ssl_ca_certs. If that is the right one, somebody else answers.",
    "tls none of ours": "It lets in only clients with a certificate: give ssl_certfile and ssl_keyfile.",
    "tls ours": "It does not accept our certificate: give one (ssl_certfile, ssl_keyfile) that is valid now and of the "
    "authority that it trusts.",
    "tls plain": "It does not speak TLS on this port: name its port for TLS, or redis:// without TLS.",
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
    # OpenSSL's: first what the other side says of our certificate, then what we say of its.
    ("alert certificate required", "tls none of ours"),
    ("alert certificate", "tls ours"),
    ("alert bad certificate", "tls ours"),
    ("alert unsupported certificate", "tls ours"),
    ("alert unknown ca", "tls ours"),
    ("certificate has expired", "tls expired"),
    ("certificate is not yet valid", "tls too early"),
    ("certificate is not valid for", "tls name"),
    ("certificate verify failed: Hostname mismatch", "tls name"),
    ("certificate verify failed: IP address mismatch", "tls name"),
    ("certificate verify failed", "tls authority"),
    ("wrong version number", "tls plain"),
    ("record layer failure", "tls plain"),
)
_OF_TLS = ("certificate", "SSL")
# Refusals that every other question would meet as well; what else a script raises is of its own keys.
_OF_THE_SHARD = REMEDIES.keys() - {"WRONGTYPE", "maxclients"}
# Of those, what Redis answers without a word of their own, behind where in a script it was.
_NOT_ALLOWED = re.compile(
    r"ERR (?:.*@user_script: ?\d+: )?(?:The user executing the script can't run|ACL failure in script)"
)
# Which script it was, and where, says nothing to whoever sends a message.
_IN_SCRIPT = re.compile(r",? ?script: [0-9a-f]{40}, on @user_script:\d+\.?")
_RESET = "Connection reset by peer"
_CODE = re.compile(r"\b[A-Z]{3,}\b")


def remedy_for(text: str) -> str:
    """Return what can be done about an error that a shard has answered; "" where nothing is known."""
    for words, code in _BY_WORDS:
        if words in text:
            return REMEDIES[code]
    return next((REMEDIES[code] for code in _CODE.findall(text) if code in REMEDIES), "")


def is_tls(text: str) -> bool:
    """Tell whether an error is of TLS: of a certificate, ours or theirs, or of a server that speaks something else."""
    return any(word in text for word in _OF_TLS)


def says_less(text: str, *, than: str) -> bool:
    """Tell whether an error is what is left of an earlier one of the same server.

    A server that does not accept our certificate says so and closes; where it has not read all that we had sent by
    then, the connection is reset, and what it said is often lost with it.
    """
    return _RESET in text and is_tls(than)


def is_of_the_shard(code: str, text: str) -> bool:
    """Say whether a shard would refuse everything else as well, by the first word of its answer and all of it."""
    return code in _OF_THE_SHARD or (code == "ERR" and _NOT_ALLOWED.match(text) is not None)


def readable(text: str) -> str:
    """Return an error as one clause of a sentence."""
    return _IN_SCRIPT.sub("", text).rstrip(". ")


def with_code(text: str) -> str:
    """Return an error as Redis wrote it: client libraries cut the first word off and make a class of it."""
    if _CODE.match(text):
        return text
    return next((f"{code} {text}" for words, code in _BY_WORDS if words in text and code.isupper()), text)
