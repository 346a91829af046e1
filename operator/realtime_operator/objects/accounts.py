"""Who may do what in Redis: passwords that are made once, and the access lists that follow from them.

gateway    gateway and worker pods: everything on data but administration; on Sentinels only questions
operator   everything
replica    a replica towards its primary
sentinel   a Sentinel towards servers and other Sentinels
pod        scripts and probes inside a pod: how it starts, whether it is well, and to whom it hands over when it ends
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from realtime_operator.objects import identity, redis_tls
from realtime_operator.snapshot import Manifest
from realtime_operator.target import Target

USERS = ("gateway", "operator", "replica", "sentinel", "pod", "cache")

# The keys that Redis and Sentinel pods mount; the others stay out of them.
FILES = ("users.acl", "sentinel-users.acl", "replica-auth.conf", "sentinel-auth.conf")
_KEPT = "password-"

# Nobody can log in as the default user, since it is off. But a server that reads its append-only file runs each
# transaction and script in it as this user, and leaves out what it may not do ("NOPERM ACLs rules changed").
SERVER_RIGHTS = {
    "default": "~* &* +@all",
    "gateway": "~* &* +@all -@admin -@dangerous +info +role",
    "operator": "~* &* +@all",
    "replica": "+psync +replconf +ping",
    "sentinel": "&__sentinel__:hello +multi +exec +slaveof +ping +subscribe +publish +config|rewrite +role +info"
    " +client|setname +client|kill +script|kill",
    "pod": "+ping +role +info +multi +exec +replicaof +client|pause +client|unpause +client|kill",
}
SENTINEL_RIGHTS = {
    "gateway": "&* +@connection +@pubsub -@admin -@dangerous +info +role +sentinel|masters +sentinel|master"
    " +sentinel|replicas +sentinel|slaves +sentinel|sentinels +sentinel|get-master-addr-by-name",
    "operator": "&* +@all",
    "sentinel": "&* +ping +info +role +publish +subscribe +client|setname +sentinel|is-master-down-by-addr",
    "pod": "+ping +sentinel|get-master-addr-by-name +sentinel|failover",
}


def new_passwords(target: Target) -> dict[str, Any]:
    """The Secret with one password per user, without them: whoever creates it draws them."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": identity.metadata(target, identity.passwords_name(target), identity.REDIS),
        "type": "Opaque",
    }


def restored_passwords(target: Target, lists: Manifest) -> dict[str, Any]:
    """The same Secret with the passwords that the access lists were made from, after it was deleted."""
    data = {user: lists["data"][_KEPT + user] for user in USERS}
    return {**new_passwords(target), "data": data}


def access_lists(target: Target, secret: Manifest) -> dict[str, Any]:
    """The Secret with access lists and the servers' own credentials, made from the passwords in the cluster.

    It keeps the passwords as well: servers that run know only these, so a deleted Secret must come back the same.
    """
    plain = read_passwords(secret)
    # A pod's own script makes its server read renewed certificates.
    pod = {"pod": SERVER_RIGHTS["pod"] + " +config|set"} if redis_tls.wanted(target) is not None else {}
    files = {
        "users.acl": _access_list({**SERVER_RIGHTS, **pod}, plain),
        "sentinel-users.acl": _access_list(SENTINEL_RIGHTS, plain),
        "replica-auth.conf": f"masteruser replica\nmasterauth {plain['replica']}\n",
        "sentinel-auth.conf": f"sentinel sentinel-user sentinel\nsentinel sentinel-pass {plain['sentinel']}\n",
    }
    kept = {_KEPT + user: secret["data"][user] for user in USERS}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": identity.metadata(target, identity.accounts_name(target), identity.REDIS),
        "type": "Opaque",
        "data": {**{name: _encoded(text) for name, text in files.items()}, **kept},
    }


def read_passwords(secret: Manifest) -> dict[str, str]:
    """The passwords in the Secret, by user."""
    return {user: base64.b64decode(secret["data"][user]).decode() for user in USERS}


def passwords_in_use(target: Target, secret: Manifest | None, lists: Manifest | None) -> Manifest | None:
    """The Secret with the passwords that servers know; None while there are none.

    The access lists are what servers read, so theirs count, unless somebody has edited those.
    """
    complete = secret if secret is not None and is_complete(secret) else None
    if lists is not None and keeps_passwords(lists):
        restored = restored_passwords(target, lists)
        if complete is None or _follow_from(lists, target, restored):
            return restored
    return complete


def _follow_from(lists: Manifest, target: Target, secret: Manifest) -> bool:
    try:
        made = access_lists(target, secret)["data"]
    except ValueError:  # somebody's edit is no base64, or no text
        return False
    return all(lists["data"].get(name) == value for name, value in made.items())


def keeps_passwords(lists: Manifest) -> bool:
    """Whether the passwords can be restored from the Secret with the access lists."""
    return all(lists.get("data", {}).get(_KEPT + user) for user in USERS)


def is_complete(secret: Manifest) -> bool:
    """Whether the Secret has a password that can be used for every user."""
    return all(secret.get("data", {}).get(user) for user in USERS)


def _access_list(rights: Mapping[str, str], plain: Mapping[str, str]) -> str:
    lines = [" ".join(filter(None, ("user default off", rights.get("default"))))]
    for user, allowed in rights.items():
        if user == "default":
            continue
        digest = hashlib.sha256(plain[user].encode()).hexdigest()
        lines.append(f"user {user} on #{digest} {allowed}")
    return "\n".join(lines) + "\n"


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
