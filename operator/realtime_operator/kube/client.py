"""Calls to the API server: raw dicts, one function per verb, one place that says which kinds there are."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from realtime_operator import recording
from realtime_operator.kube.errors import KubeError, from_answer
from realtime_operator.snapshot import Manifest, ObjectKey
from realtime_operator.target import API_VERSION, FIELD_MANAGER, KIND, PLURAL

CALL_SECONDS = 15.0
APPLY = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"


class Kind(NamedTuple):
    """Where objects of one kind are found."""

    api_version: str
    plural: str

    @property
    def group(self) -> str:
        """The API group; empty for the core group."""
        return self.api_version.rpartition("/")[0]


# Every kind that the operator makes for a resource, and so watches.
OWNED: dict[str, Kind] = {
    "ConfigMap": Kind("v1", "configmaps"),
    "Secret": Kind("v1", "secrets"),
    "Service": Kind("v1", "services"),
    "ServiceAccount": Kind("v1", "serviceaccounts"),
    "Deployment": Kind("apps/v1", "deployments"),
    "StatefulSet": Kind("apps/v1", "statefulsets"),
    "PodDisruptionBudget": Kind("policy/v1", "poddisruptionbudgets"),
    "Ingress": Kind("networking.k8s.io/v1", "ingresses"),
    "NetworkPolicy": Kind("networking.k8s.io/v1", "networkpolicies"),
}
# Made too, where the cluster has the Gateway API, or the Prometheus Operator.
OPTIONAL: dict[str, Kind] = {
    "HTTPRoute": Kind("gateway.networking.k8s.io/v1", "httproutes"),
    "ServiceMonitor": Kind("monitoring.coreos.com/v1", "servicemonitors"),
}
OTHERS: dict[str, Kind] = {
    KIND: Kind(API_VERSION, PLURAL),
    "Pod": Kind("v1", "pods"),
    "Event": Kind("events.k8s.io/v1", "events"),
    "Lease": Kind("coordination.k8s.io/v1", "leases"),
}
KINDS = {**OWNED, **OPTIONAL, **OTHERS}


class KubeClient:
    """One connection pool to one API server."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    @classmethod
    async def connect(cls) -> KubeClient:
        """Connect as the pod's service account, else as KUBECONFIG says.

        Raises:
            KubeError: there is no configuration that can be used.
        """
        configuration = Configuration()
        try:
            if "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ:
                _untyped(config.load_incluster_config)(client_configuration=configuration)
            else:
                await _untyped(config.load_kube_config)(client_configuration=configuration)
        except (config.ConfigException, OSError) as error:
            raise KubeError(0, f"No way to the API server: {error}.") from error
        return cls(ApiClient(configuration))

    async def close(self) -> None:
        """Close the connections."""
        await _untyped(self._api.close)()

    async def apply(self, manifest: Manifest, *, force: bool) -> dict[str, Any]:
        """Server-side apply; without force a field that somebody else holds is a conflict."""
        query = {"fieldManager": FIELD_MANAGER, "force": "true" if force else "false"}
        return await self._call("PATCH", path_of(manifest), manifest, query=query, content_type=APPLY)

    async def patch(
        self, key: ObjectKey, namespace: str, body: Any, *, content_type: str, subresource: str = ""
    ) -> dict[str, Any]:
        """Patch an object or one of its subresources."""
        path = _path(key.kind, namespace, key.name, subresource)
        query = {"fieldManager": FIELD_MANAGER}
        return await self._call("PATCH", path, body, query=query, content_type=content_type)

    async def create(self, manifest: Manifest) -> dict[str, Any]:
        """Create an object; one that exists is an error of status 409."""
        path = _path(manifest["kind"], manifest["metadata"]["namespace"])
        return await self._call("POST", path, manifest, query={"fieldManager": FIELD_MANAGER})

    async def replace(self, manifest: Manifest) -> dict[str, Any]:
        """Replace exactly the version that the manifest names."""
        return await self._call("PUT", path_of(manifest), manifest)

    async def get(self, key: ObjectKey, namespace: str) -> dict[str, Any]:
        """Read one object."""
        return await self._call("GET", _path(key.kind, namespace, key.name))

    async def delete(self, key: ObjectKey, namespace: str, uid: str) -> None:
        """Delete an object if it still has this uid; what belongs to it follows in the background."""
        body = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        await self._call("DELETE", _path(key.kind, namespace, key.name), body)

    async def evict(self, pod: str, namespace: str, uid: str) -> None:
        """Ask for a pod to go; 429 says that its disruption budget does not allow it now."""
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": namespace},
            "deleteOptions": {"preconditions": {"uid": uid}},
        }
        await self._call("POST", _path("Pod", namespace, pod, "eviction"), body)

    async def list(
        self, kind: str, namespaces: Sequence[str], selector: str = "", fields: Mapping[str, str] | None = None
    ) -> list[dict[str, Any]]:
        """Objects of a kind in some namespaces, or in all when none is named."""
        found: list[dict[str, Any]] = []
        query = {"labelSelector": selector} if selector else {}
        if fields:
            query["fieldSelector"] = ",".join(f"{name}={value}" for name, value in fields.items())
        for namespace in namespaces or ("",):
            answer = await self._call("GET", _path(kind, namespace), query=query)
            # A list leaves out what its entries all have in common.
            common = {"apiVersion": KINDS[kind].api_version, "kind": kind}
            found += [{**common, **entry} for entry in answer.get("items", ())]
        return found

    async def find(self, key: ObjectKey, namespace: str) -> dict[str, Any] | None:
        """Look for one object with the right to list, which the operator has anyway."""
        return next(iter(await self.list(key.kind, (namespace,), fields={"metadata.name": key.name})), None)

    async def may(self, verb: str, kind: str, namespace: str) -> bool:
        """Whether we have a right, in one namespace or, when none is named, in all; yes where nobody may ask that."""
        found = KINDS[kind]
        attributes = {"verb": verb, "group": found.group, "resource": found.plural, "namespace": namespace}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        try:
            answer = await self._call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body)
        except KubeError as error:
            if error.status == 403:
                return True
            raise
        return bool(answer["status"]["allowed"])

    async def serves(self, kind: str) -> bool:
        """Whether the API server knows a kind."""
        try:
            answer = await self._call("GET", _root(KINDS[kind].api_version))
        except KubeError as error:
            if error.status == 404:
                return False
            raise
        return any(entry.get("kind") == kind for entry in answer.get("resources", ()))

    async def _call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        headers = {"Accept": "application/json", "Content-Type": content_type}
        # `call_api` alone sends no credentials: they are added by `param_serialize`, when asked for by name.
        prepared = await self._api.param_serialize(
            method, path, header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        url = prepared[1] + (f"?{urlencode(query)}" if query else "")
        try:
            answer = await self._api.call_api(
                method, url, header_params=prepared[2], body=prepared[3], _request_timeout=CALL_SECONDS
            )
            text = (await _untyped(answer.read)()).decode()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            recording.called(method, 0)
            raise KubeError(0, f"The API server did not answer: {str(error) or type(error).__name__}.") from error
        recording.called(method, answer.status)
        if not 200 <= answer.status < 300:
            raise from_answer(answer.status, text)
        found: dict[str, Any] = json.loads(text)
        return found


def path_of(manifest: Manifest) -> str:
    """The path of the object that a manifest is of."""
    return _path(manifest["kind"], manifest["metadata"]["namespace"], manifest["metadata"]["name"])


def _untyped(function: Any) -> Any:
    """A function of the client library that says nothing of its types."""
    return function


def _path(kind: str, namespace: str = "", name: str = "", subresource: str = "") -> str:
    steps = [_root(KINDS[kind].api_version)]
    steps += ["namespaces", quote(namespace)] if namespace else []
    steps += [part for part in (KINDS[kind].plural, quote(name), subresource) if part]
    return "/".join(steps)


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
