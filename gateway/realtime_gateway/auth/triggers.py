"""What ends connections by itself: Django's signals of users, sessions, tokens and permissions.

Bulk updates (``QuerySet.update``) send no signal; the look from time to time finds what they did.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from django.apps import apps
from django.db import transaction
from django.db.models import Model
from django.db.models.signals import ModelSignal, m2m_changed, post_delete, post_save, pre_delete

from realtime_gateway.auth.identity import digest
from realtime_gateway.auth.notices import Action, Notice
from realtime_gateway.auth.revocation import tell_from_anywhere
from realtime_gateway.endings import FORBIDDEN
from realtime_gateway.security.user_keys import key_of

# Each login writes it, and it says nothing about who may be connected.
HARMLESS_FIELDS = frozenset({"last_login"})
USERS_AT_ONCE = 500
RIGHTS_LOST = "permissions changed"


def connect() -> None:
    """Listen to what is installed."""
    if not apps.is_installed("django.contrib.auth"):
        return
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import Group, Permission
    from django.contrib.auth.signals import user_logged_out

    model = get_user_model()
    user_logged_out.connect(logged_out, dispatch_uid="realtime_gateway.logged_out")
    _connect(post_save, model, user_saved)
    _connect(post_delete, model, user_deleted)
    for holder, name in ((model, "groups"), (model, "user_permissions"), (Group, "permissions")):
        field = getattr(holder, name, None)
        if field is not None and hasattr(field, "through"):
            m2m_changed.connect(rights_changed, sender=field.through, dispatch_uid=f"realtime_gateway.rights.{name}")
    # What refers to them is deleted without a signal of its own.
    _connect(pre_delete, Group, group_deleted)
    _connect(pre_delete, Permission, permission_deleted)
    if apps.is_installed("rest_framework.authtoken"):
        _connect(post_delete, apps.get_model("authtoken", "Token"), token_deleted)
    if apps.is_installed("rest_framework_simplejwt.token_blacklist"):
        _connect(post_save, apps.get_model("token_blacklist", "BlacklistedToken"), token_blacklisted)


def _connect(signal: ModelSignal, model: type[Model], receiver: Callable[..., None]) -> None:
    """Listen to a model, and to its proxies and other subclasses, which send signals as themselves."""
    for sender in apps.get_models():
        if issubclass(sender, model._meta.concrete_model or model):
            uid = f"realtime_gateway.{receiver.__name__}.{sender._meta.label}"
            signal.connect(receiver, sender=sender, dispatch_uid=uid)


def logged_out(sender: Any, request: Any = None, user: Any = None, **kwargs: Any) -> None:
    """End the session's connections; where no session is known, look at all of the user."""
    if user is None:
        return
    key = getattr(getattr(request, "session", None), "session_key", None)
    using = getattr(getattr(user, "_state", None), "db", None)
    if key:
        _tell(Notice(Action.END, credential=digest(key)), using)
    else:
        _tell(Notice(Action.CHECK, (key_of(user),)), using)


def user_saved(
    sender: Any,
    instance: Any,
    created: bool,
    update_fields: Iterable[str] | None,
    using: str | None = None,
    **kwargs: Any,
) -> None:
    """Look whether the password has changed, or the user is no longer active or has lost a flag."""
    if not created and not (update_fields and set(update_fields) <= HARMLESS_FIELDS):
        _tell(Notice(Action.CHECK, (str(instance.pk),)), using)


def user_deleted(sender: Any, instance: Any, using: str | None = None, **kwargs: Any) -> None:
    """End the user's connections."""
    _tell(Notice(Action.END, (str(instance.pk),), reason="user deleted"), using)


def token_deleted(sender: Any, instance: Any, using: str | None = None, **kwargs: Any) -> None:
    """End the connections of a token of Django REST framework."""
    _tell(Notice(Action.END, credential=digest(instance.key), reason="token revoked"), using)


def token_blacklisted(sender: Any, instance: Any, using: str | None = None, **kwargs: Any) -> None:
    """Look whether the user has a refresh token left."""
    user = instance.token.user_id
    if user is not None:
        _tell(Notice(Action.CHECK, (str(user),)), using)


def group_deleted(sender: Any, instance: Any, using: str | None = None, **kwargs: Any) -> None:
    """End with 4403 the connections of those who were in the group."""
    _tell_users(_users_with(using, groups=instance), _end_for_rights, using)


def permission_deleted(sender: Any, instance: Any, using: str | None = None, **kwargs: Any) -> None:
    """End with 4403 the connections of those who had the permission."""
    users = {*_users_with(using, user_permissions=instance), *_users_with(using, groups__permissions=instance)}
    _tell_users(users, _end_for_rights, using)


def rights_changed(
    sender: Any,
    instance: Any,
    action: str,
    reverse: bool,
    pk_set: set[Any] | None,
    using: str | None = None,
    **kwargs: Any,
) -> None:
    """End with 4403 the connections of users who may have lost a right; who has won one has it from now on."""
    if action in ("post_add", "post_remove", "pre_clear"):
        users = _users_of(instance, sender, reverse, pk_set, using)
        _tell_users(users, _refresh if action == "post_add" else _end_for_rights, using)


def _refresh(users: tuple[str, ...]) -> Notice:
    return Notice(Action.REFRESH, users)


def _end_for_rights(users: tuple[str, ...]) -> Notice:
    return Notice(Action.END, users, ending=FORBIDDEN, reason=RIGHTS_LOST)


def _users_of(
    instance: Any, through: Any, reverse: bool, pk_set: set[Any] | None, using: str | None
) -> Collection[Any]:
    """Return the keys of the users whom a change of a many-to-many relation concerns."""
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import Group

    model = get_user_model()
    if through is Group.permissions.through:
        if not reverse:
            return _users_with(using, groups=instance)
        if pk_set is None:  # cleared from the other side
            return _users_with(using, groups__permissions=instance)
        return _users_with(using, groups__in=pk_set)
    if isinstance(instance, model):
        return [instance.pk]
    if pk_set is not None:
        return pk_set
    return _users_with(using, **{"groups" if isinstance(instance, Group) else "user_permissions": instance})


def _users_with(using: str | None, **having: Any) -> Collection[Any]:
    """Return the keys of the users with a group or permission; nobody has one where the user model knows of none."""
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import Group, Permission

    model = get_user_model()
    (path,) = having
    field = path.partition("__")[0]
    relations = {one.name: one.related_model for one in model._meta.many_to_many}
    if relations.get(field) is not {"groups": Group, "user_permissions": Permission}[field]:
        return ()
    users = model._default_manager.using(using).filter(**having)
    return list(users.values_list("pk", flat=True).distinct())


def _tell_users(users: Collection[Any], notice_of: Callable[[tuple[str, ...]], Notice], using: str | None) -> None:
    named = [str(user) for user in users]
    for start in range(0, len(named), USERS_AT_ONCE):
        _tell(notice_of(tuple(named[start : start + USERS_AT_ONCE])), using)


class _Telling:
    """What is told when a transaction is committed, all at once."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []

    def __call__(self) -> None:
        tell_from_anywhere(self.notices)


def _tell(notice: Notice, using: str | None) -> None:
    """Tell once the change can be read by others, along with what else this transaction has changed."""
    connection = transaction.get_connection(using)
    savepoints = set(connection.savepoint_ids)
    # What was said under another savepoint may be rolled back without this.
    last: Any = connection.run_on_commit[-1] if connection.run_on_commit else None
    if last is not None and isinstance(last[1], _Telling) and last[0] == savepoints:
        last[1].notices.append(notice)
        return
    telling = _Telling()
    telling.notices.append(notice)
    transaction.on_commit(telling, using=using, robust=True)
