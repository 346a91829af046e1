"""Calling what a site has written and may have written ``async``, or behind a decorator that hides that it is."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from channels.db import database_sync_to_async


async def result_of(function: Callable[..., Any], *given: Any) -> Any:
    """Call it on the loop if it is ``async``, else in a thread, where it may use the database; await what it returns.

    What returns a coroutine need not look ``async``: a lambda, a ``partial``, a sync decorator. A coroutine is true, so
    it must never be taken for an answer.
    """
    found = function(*given) if is_async(function) else await database_sync_to_async(function)(*given)
    return await found if is_awaitable(found) else found


def is_async(function: object) -> bool:
    """Say whether a callable is seen to be ``async``; one that is not may still return what is to be awaited."""
    call = type(function).__call__ if callable(function) else None
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def is_awaitable(found: object) -> bool:
    """Say whether it is to be awaited, without evaluating a lazy object, which ``inspect.isawaitable`` would."""
    return hasattr(type(found), "__await__")


async def awaited(found: Awaitable[Any]) -> Any:
    """Return what it returns; for ``async_to_sync``, which takes functions."""
    return await found
