"""Objects written to the API server: applied, created, freed of foreign entries."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from realtime_operator.kube.client import JSON_PATCH, KubeClient
from realtime_operator.kube.errors import KubeError
from realtime_operator.plan import Apply, CreatePasswords, RemoveForeign
from realtime_operator.snapshot import Manifest, ObjectKey


class NameTaken(Exception):
    """An object of this name belongs to somebody else."""


async def apply(client: KubeClient, action: Apply, *, known: bool) -> dict[str, Any]:
    """Apply an object.

    What a person has edited is set right by force. What another manager *applies* would be set back and forth for
    ever, so it is a conflict that people must solve.

    One that is not ``known`` to be ours is looked up first, since to apply is to take over.

    Raises:
        NameTaken: an object of this name is not ours.
    """
    if not known:
        await _check_name(client, action.manifest)
    try:
        return await client.apply(action.manifest, force=False)
    except KubeError as error:
        if error.status != 409 or error.owners or not error.details.get("details", {}).get("causes"):
            raise
        return await client.apply(action.manifest, force=True)


async def create_passwords(
    client: KubeClient, action: CreatePasswords, new_password: Callable[[], str]
) -> dict[str, Any]:
    """Create a Secret with new passwords."""
    data = {key: base64.b64encode(new_password().encode()).decode() for key in action.keys}
    return await create(client, {**action.manifest, "data": data})


async def create(client: KubeClient, manifest: Manifest) -> dict[str, Any]:
    """Create an object.

    Raises:
        NameTaken: there is one of this name that is not ours.
        KubeError: another error; kind ``exists`` where it is ours.
    """
    try:
        return await client.create(manifest)
    except KubeError as error:
        if error.refusal.kind == "exists":
            await _check_name(client, manifest)
        raise


async def remove_foreign(client: KubeClient, action: RemoveForeign, namespace: str) -> dict[str, Any]:
    """Take foreign entries out of an object, if it is still as it was seen."""
    return await client.patch(action.key, namespace, list(action.patch), content_type=JSON_PATCH)


async def _check_name(client: KubeClient, manifest: Manifest) -> None:
    metadata = manifest["metadata"]
    key = ObjectKey(manifest["kind"], metadata["name"])
    found = await client.find(key, metadata["namespace"])
    if found is None:
        return
    (owner,) = metadata["ownerReferences"]
    references = found["metadata"].get("ownerReferences", [])
    if any(reference["uid"] == owner["uid"] for reference in references):
        return
    whose = ", ".join(f"{reference['kind']} {reference['name']}" for reference in references) or "nobody"
    if any(reference["kind"] == owner["kind"] and reference["name"] == owner["name"] for reference in references):
        raise NameTaken(f"{key} is still there from an earlier resource of this name.")
    message = f"{key} exists and belongs to {whose}, not to this resource: rename it, or the resource."
    raise NameTaken(message)
