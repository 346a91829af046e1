"""Enforce NetworkPolicy objects (IPv4) on this node with nftables: the known agents need more than this machine has.

Each second the policies, pods and namespaces are read, and when the table made from them differs from the last one it
replaces it in one transaction. What comes from the nodes themselves (probes, the API server) passes, as Kubernetes
asks.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

SERVER = "https://10.89.0.1:6443"
NODES = "10.89.0.0/24"
PERIOD_SECONDS = 1.0

Object = dict[str, Any]


def labels_of(item: Object) -> dict[str, str]:
    return item["metadata"].get("labels") or {}


def selects(selector: Object, labels: dict[str, str]) -> bool:
    """Return whether a label selector chooses these labels; an empty one chooses all."""

    def holds(term: Object) -> bool:
        present, value = term["key"] in labels, labels.get(term["key"])
        return {
            "In": value in term.get("values", []),
            "NotIn": value not in term.get("values", []),
            "Exists": present,
            "DoesNotExist": not present,
        }[term["operator"]]

    equal = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return equal and all(map(holds, selector.get("matchExpressions", [])))


class Table:
    """The nftables table for one moment's policies, pods and namespaces."""

    def __init__(self, policies: list[Object], pods: list[Object], namespaces: list[Object]) -> None:
        self.policies = sorted(policies, key=lambda policy: policy["metadata"]["uid"])
        self.namespaces = {item["metadata"]["name"]: labels_of(item) for item in namespaces}
        self.pods = sorted(filter(self._has_own_address, pods), key=self._address)

    @staticmethod
    def _has_own_address(pod: Object) -> bool:
        alive = pod["status"]["phase"] in {"Pending", "Running"}
        return alive and "podIP" in pod["status"] and not pod["spec"].get("hostNetwork")

    @staticmethod
    def _address(pod: Object) -> str:
        address: str = pod["status"]["podIP"]
        return address

    def text(self) -> str:
        """Return what `nft -f` takes: both directions of every pod that a policy has isolated."""
        chains: list[str] = []
        jumps: dict[str, list[str]] = {"ingress": [], "egress": []}
        for pod in self.pods:
            for direction, entries in jumps.items():
                policies = [policy for policy in self.policies if self._isolates(policy, direction, pod)]
                if policies:
                    name = f"{direction}-{self._address(pod)}"
                    entries.append(f"{self._address(pod)} : jump {name}")
                    accepted = [rule for policy in policies for rule in self._accepted(policy, direction, pod)]
                    chains.append("\n".join([f"chain {name} {{", *accepted, "drop", "}"]))
        to = f"ip daddr vmap {{ {', '.join(jumps['ingress'])} }}" if jumps["ingress"] else ""
        out = f"ip saddr vmap {{ {', '.join(jumps['egress'])} }}" if jumps["egress"] else ""
        known = f"ct state established,related accept\nip saddr {NODES} accept"
        hooks = (
            f"chain forward {{\ntype filter hook forward priority 10\n{known}\n{out}\n{to}\n}}\n"
            f"chain input {{\ntype filter hook input priority 10\n{known}\n{out}\n}}"
        )
        return "\n".join(
            ["table ip policies", "delete table ip policies", "table ip policies {", *chains, hooks, "}\n"]
        )

    @staticmethod
    def _isolates(policy: Object, direction: str, pod: Object) -> bool:
        same = policy["metadata"]["namespace"] == pod["metadata"]["namespace"]
        spec = policy["spec"]
        return same and direction.capitalize() in spec["policyTypes"] and selects(spec["podSelector"], labels_of(pod))

    def _accepted(self, policy: Object, direction: str, pod: Object) -> Iterator[str]:
        side, peers_key = ("saddr", "from") if direction == "ingress" else ("daddr", "to")
        for rule in policy["spec"].get(direction) or []:
            receivers = [pod] if direction == "ingress" else self.pods
            peers = [self._peer(peer, side, policy["metadata"]["namespace"]) for peer in rule.get(peers_key) or []]
            ports = list(self._ports(rule["ports"], receivers)) if rule.get("ports") else [""]
            for peer in peers if rule.get(peers_key) else [""]:
                if peer is not None:
                    yield from (f"{peer} {port} return" for port in ports)

    def _peer(self, peer: Object, side: str, namespace: str) -> str | None:
        """Return the condition on the other end's address, or None when nobody is meant."""
        if "ipBlock" in peer:
            excluded = peer["ipBlock"].get("except")
            but = f" ip {side} != {{ {', '.join(excluded)} }}" if excluded else ""
            return f"ip {side} {peer['ipBlock']['cidr']}{but}"
        chosen = [self._address(pod) for pod in self.pods if self._is_peer(peer, pod, namespace)]
        return f"ip {side} {{ {', '.join(chosen)} }}" if chosen else None

    def _is_peer(self, peer: Object, pod: Object, namespace: str) -> bool:
        home = pod["metadata"]["namespace"]
        if "namespaceSelector" in peer:
            near = home in self.namespaces and selects(peer["namespaceSelector"], self.namespaces[home])
        else:
            near = home == namespace
        return near and selects(peer.get("podSelector") or {}, labels_of(pod))

    def _ports(self, ports: list[Object], receivers: list[Object]) -> Iterator[str]:
        """Yield the conditions on the port; a named port is each receiver's own."""
        for port in ports:
            protocol, number = port.get("protocol", "TCP").lower(), port.get("port")
            if number is None:
                yield f"meta l4proto {protocol}"
            elif isinstance(number, int):
                yield f"{protocol} dport {number}-{port.get('endPort', number)}"
            else:
                for pod in receivers:
                    for known in (known for each in pod["spec"]["containers"] for known in each.get("ports", [])):
                        if (known.get("name"), known.get("protocol", "TCP").lower()) == (number, protocol):
                            yield f"ip daddr {self._address(pod)} {protocol} dport {known['containerPort']}"


def items(path: str, tls: ssl.SSLContext) -> list[Object]:
    with urllib.request.urlopen(SERVER + path, context=tls, timeout=10) as answer:
        found: list[Object] = json.load(answer)["items"]
    return found


def main(pki: str) -> None:
    tls = ssl.create_default_context(cafile=f"{pki}/ca.crt")
    tls.load_cert_chain(f"{pki}/network-policy.crt", f"{pki}/network-policy.key")
    loaded = None
    while True:
        try:
            policies = items("/apis/networking.k8s.io/v1/networkpolicies", tls)
            wanted = Table(policies, items("/api/v1/pods", tls), items("/api/v1/namespaces", tls)).text()
        except OSError as error:  # an API server that is away changes no policy
            print(error, flush=True)
        else:
            if wanted != loaded:
                subprocess.run(["nft", "-f", "-"], input=wanted, text=True, check=True)
                loaded = wanted
        time.sleep(PERIOD_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1])
