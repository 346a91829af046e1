"""What ends connections by itself: Django's signals of users, sessions, tokens and permissions.

Bulk updates (``QuerySet.update``) send no signal; the look from time to time finds what they did.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.db import transaction
from django.db.models.signals import m2m_changed, post_delete, post_save

from realtime_gateway.auth.identity import digest
from realtime_gateway.auth.notices import Action, Notice
from realtime_gateway.auth.revocation import tell_from_anywhere
from realtime_gateway.endings import FORBIDDEN

# Each login writes it, and it says nothing about who may be connected.
HARMLESS_FIELDS = frozenset({"last_login"})
USERS_AT_ONCE = 500


def connect() -> None:
    """Listen to what is installed."""
    if not apps.is_installed("django.contrib.auth"):
        return
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import Group
    from django.contrib.auth.signals import user_logged_out

    model = get_user_model()
    user_logged_out.connect(logged_out, dispatch_uid="realtime_gateway.logged_out")
    post_save.connect(user_saved, sender=model, dispatch_uid="realtime_gateway.user_saved")
    post_delete.connect(user_deleted, sender=model, dispatch_uid="realtime_gateway.user_deleted")
    for holder, name in ((model, "groups"), (model, "user_permissions"), (Group, "permissions")):
        field = getattr(holder, name, None)
        if field is not None and hasattr(field, "through"):
            m2m_changed.connect(rights_changed, sender=field.through, dispatch_uid=f"realtime_gateway.rights.{name}")
    if apps.is_installed("rest_framework.authtoken"):
        token = apps.get_model("authtoken", "Token")
        post_delete.connect(token_deleted, sender=token, dispatch_uid="realtime_gateway.token_deleted")
    if apps.is_installed("rest_framework_simplejwt.token_blacklist"):
        blacklisted = apps.get_model("token_blacklist", "BlacklistedToken")
        post_save.connect(token_blacklisted, sender=blacklisted, dispatch_uid="realtime_gateway.token_blacklisted")


def logged_out(sender: Any, request: Any = None, user: Any = None, **kwargs: Any) -> None:
    """End the session's connections; where no session is known, look at all of the user."""
    if user is None:
        return
    key = getattr(getattr(request, "session", None), "session_key", None)
    if key:
        _tell(Notice(Action.END, credential=digest(key)))
    else:
        _tell(Notice(Action.CHECK, (str(user.pk),)))


def user_saved(sender: Any, instance: Any, created: bool, update_fields: Iterable[str] | None, **kwargs: Any) -> None:
    """Look whether the password has changed, or the user is no longer active."""
    if not created and not (update_fields and set(update_fields) <= HARMLESS_FIELDS):
        _tell(Notice(Action.CHECK, (str(instance.pk),)))


def user_deleted(sender: Any, instance: Any, **kwargs: Any) -> None:
    """End the user's connections."""
    _tell(Notice(Action.END, (str(instance.pk),), reason="user deleted"))


def token_deleted(sender: Any, instance: Any, **kwargs: Any) -> None:
    """End the connections of a token of Django REST framework."""
    _tell(Notice(Action.END, credential=digest(instance.key), reason="token revoked"))


def token_blacklisted(sender: Any, instance: Any, **kwargs: Any) -> None:
    """Look whether the user has a refresh token left."""
    user = instance.token.user_id
    if user is not None:
        _tell(Notice(Action.CHECK, (str(user),)))


def rights_changed(
    sender: Any, instance: Any, action: str, reverse: bool, pk_set: set[Any] | None, **kwargs: Any
) -> None:
    """End with 4403 the connections of users who may have lost a right; who has won one has it from now on."""
    if action not in ("post_add", "post_remove", "pre_clear"):
        return
    users = _users_of(instance, sender, reverse, pk_set)
    for start in range(0, len(users), USERS_AT_ONCE):
        some = tuple(str(user) for user in users[start : start + USERS_AT_ONCE])
        if action == "post_add":
            _tell(Notice(Action.REFRESH, some))
        else:
            _tell(Notice(Action.END, some, ending=FORBIDDEN, reason="permissions changed"))


def _users_of(instance: Any, through: Any, reverse: bool, pk_set: set[Any] | None) -> list[Any]:
    """Return the keys of the users whom a change of a many-to-many relation concerns."""
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import Group

    model = get_user_model()
    users = model._default_manager
    if through is Group.permissions.through:
        groups = [instance.pk] if not reverse else list(pk_set or instance.group_set.values_list("pk", flat=True))
        return list(users.filter(groups__in=groups).values_list("pk", flat=True).distinct())
    if isinstance(instance, model):
        return [instance.pk]
    if pk_set is not None:
        return list(pk_set)
    return list(instance.user_set.values_list("pk", flat=True))  # cleared from the other side


def _tell(notice: Notice) -> None:
    """Tell once the change can be read by others."""
    transaction.on_commit(lambda: tell_from_anywhere([notice]), robust=True)
