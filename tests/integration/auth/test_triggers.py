"""What Django tells by its signals ends the sockets that it concerns, once it is committed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from rest_framework.authtoken.models import Token, TokenProxy
from tests.integration.auth.conftest import SECONDS, Sockets, accepting, ending, known_as
from tests.support.conditions import until

from realtime_gateway.auth import triggers
from realtime_gateway.auth.drf_token import DRFAuthTokenMiddleware
from realtime_gateway.auth.identity import Identity
from realtime_gateway.auth.notices import Action, Notice
from realtime_gateway.layer import RedisChannelLayer

UseLayer = Callable[..., RedisChannelLayer]
RIGHTS = (4403, "permissions changed")


@pytest.fixture
def staff() -> Iterator[type[User]]:
    """A proxy of the user model, as a site's admin may have one."""

    class Staff(User):
        class Meta:
            proxy = True
            app_label = "auth"

    triggers.connect()  # as at the start, when all models are there
    yield Staff
    del ContentType._meta.apps.all_models["auth"]["staff"]
    ContentType._meta.apps.clear_cache()


def make_user() -> User:
    """A superuser with a permission of her own and one by a group."""
    user = User.objects.create_superuser("ann", is_active=True)
    own, by_group = Permission.objects.order_by("pk")[:2]
    user.user_permissions.add(own)
    group = Group.objects.create(name="moderators")
    group.permissions.add(by_group)
    user.groups.add(group)
    return user


def own(user: User) -> Permission:
    return user.user_permissions.get()


def by_group() -> Permission:
    return Permission.objects.get(group__name="moderators")


def demote(user: User, flag: str) -> None:
    setattr(user, flag, False)
    user.save()


LOSSES: dict[str, tuple[Callable[[User], Any], tuple[int, str]]] = {
    "is_superuser is taken away": (lambda user: demote(user, "is_superuser"), RIGHTS),
    "is_staff is taken away": (lambda user: demote(user, "is_staff"), RIGHTS),
    "a group is deleted": (lambda user: Group.objects.get().delete(), RIGHTS),
    "groups are deleted in bulk": (lambda user: Group.objects.all().delete(), RIGHTS),
    "a permission of the user is deleted": (lambda user: own(user).delete(), RIGHTS),
    "a permission of a group is deleted": (lambda user: by_group().delete(), RIGHTS),
    "a permission is taken from its groups": (lambda user: by_group().group_set.clear(), RIGHTS),
    "a group is taken from all its users": (lambda user: Group.objects.get().user_set.clear(), RIGHTS),
    "the user is deleted": (lambda user: User.objects.get(pk=user.pk).delete(), (4401, "user deleted")),
}


@pytest.mark.parametrize("what", LOSSES)
async def test_a_socket_is_closed_when(what: str, use_layer: UseLayer, sockets: Sockets, looks: list[int]) -> None:
    use_layer()
    user = await sync_to_async(make_user)()
    bystander = await User.objects.acreate_superuser("bob")
    socket, other = [await sockets.open(known_as(Identity(one))) for one in (user, bystander)]
    await until(lambda: looks, SECONDS)
    lose, expected = LOSSES[what]
    await sync_to_async(lose)(await User.objects.aget(pk=user.pk))
    assert await ending(socket) == expected
    assert await other.receive_nothing()


async def test_a_socket_is_closed_when_the_user_is_saved_through_a_proxy(
    use_layer: UseLayer, sockets: Sockets, looks: list[int], staff: type[User]
) -> None:
    use_layer()
    user = await User.objects.acreate_user("ann")
    socket = await sockets.open(known_as(Identity(user)))
    await until(lambda: looks, SECONDS)
    saved = await staff.objects.aget(pk=user.pk)
    saved.is_active = False
    await saved.asave()
    assert await ending(socket) == (4401, "user no longer active")


async def test_a_socket_is_closed_when_the_admin_deletes_its_token(use_layer: UseLayer, sockets: Sockets) -> None:
    use_layer()
    token = await Token.objects.acreate(user=await User.objects.acreate_user("ann"))
    socket = await sockets.open(DRFAuthTokenMiddleware(accepting), authorization=f"Token {token.key}")
    proxy = await TokenProxy.objects.aget(pk=token.pk)
    await proxy.adelete()
    assert await ending(socket) == (4401, "token revoked")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[list[Notice]]:
    messages: list[list[Notice]] = []
    monkeypatch.setattr(triggers, "tell_from_anywhere", messages.append)
    return messages


def save(*names: str) -> None:
    for name in names:
        User.objects.get(username=name).save()


def users(messages: list[list[Notice]]) -> list[list[str]]:
    names = dict(User.objects.values_list("pk", "username"))
    return [[names[int(user)] for notice in notices for user in notice.users] for notices in messages]


async def test_what_a_transaction_changes_is_told_at_once_when_it_is_committed(told: list[list[Notice]]) -> None:
    def change() -> list[list[str]]:
        for name in ("ann", "bob", "eve"):
            User.objects.create_user(name)
        with transaction.atomic():
            save("ann")
            with suppress(ZeroDivisionError), transaction.atomic():
                save("bob")
                raise ZeroDivisionError
            save("ann", "eve")
            assert told == []
        return users(told)

    assert await sync_to_async(change)() == [["ann", "ann", "eve"]]


async def test_what_is_rolled_back_is_told_to_nobody(told: list[list[Notice]]) -> None:
    def change() -> None:
        User.objects.create_user("ann")
        with suppress(ZeroDivisionError), transaction.atomic():
            save("ann")
            raise ZeroDivisionError

    await sync_to_async(change)()
    assert told == []


async def test_a_login_looks_at_nobody(told: list[list[Notice]]) -> None:
    user = await User.objects.acreate_user("ann")
    await user.asave(update_fields=["last_login"])
    assert told == []
    await user.asave(update_fields=["last_login", "password"])
    assert [[notice.action for notice in notices] for notices in told] == [[Action.CHECK]]


async def test_groups_change_without_harm_where_the_user_model_knows_of_none(
    told: list[list[Notice]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def change() -> None:
        group, permission = Group.objects.create(name="some"), Permission.objects.first()
        group.permissions.add(permission)
        group.permissions.remove(permission)
        group.delete()

    monkeypatch.setattr("django.contrib.auth.get_user_model", lambda: ContentType)
    await sync_to_async(change)()
    assert told == []
