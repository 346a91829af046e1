#!/usr/bin/env bash
# node.sh STATE NUMBER: process 1 of one node, in namespaces of its own inside the control plane's. It takes eth0 from
# whoever started it, and runs containerd, kubelet, kube-proxy and what enforces NetworkPolicies.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/paths.sh"
name=node-$2 number=$2
state=$1/$name
pki=$1/pki
disk=$state/var
mkdir -p "$state"/{log,paused,running} "$disk"/{lib/containerd,log,tmp,cache} "$1/images/$name"
rm -f "$state"/running/*

# --- mounts. kubelet and containerd pass mounts on to containers, so they must be shared within the node.
mount --make-rshared /
mount -t proc proc /proc
unified=$([ ! -e /sys/fs/cgroup/cgroup.controllers ] || echo yes)
umount -R /sys
mount -t sysfs sysfs /sys # a new one shows this network namespace
if [ "$unified" ]; then
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    mkdir -p /sys/fs/cgroup/init # a group with children that are limited may hold no process itself
    while read -r process; do echo "$process" >/sys/fs/cgroup/init/cgroup.procs 2>/dev/null || true; done \
        </sys/fs/cgroup/cgroup.procs
    sed 's/[^ ]*/+&/g' /sys/fs/cgroup/cgroup.controllers >/sys/fs/cgroup/cgroup.subtree_control
else
    mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
    while IFS=: read -r _ controller _; do
        [ -n "$controller" ] || continue
        mkdir "/sys/fs/cgroup/${controller#name=}"
        mount -t cgroup -o "${controller/#name=/none,name=}" cgroup "/sys/fs/cgroup/${controller#name=}"
    done </proc/self/cgroup
fi
mount -t tmpfs -o mode=755 run /run
ln -sfn /run "$disk/run"
mount --bind "$disk" /var
mount --bind "$1/images/$name" /var/lib/containerd
mkdir -p /run/sysctl /run/cni /run/flexvolume

# kubelet insists on these values, which belong to the whole machine: it may write to copies.
while read -r setting value; do
    copy=/run/sysctl/${setting//\//.}
    echo "$value" >"$copy"
    mount --bind "$copy" "/proc/sys/$setting"
done <<'SETTINGS'
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
SETTINGS

# --- network
hostname "$name"
ip link set lo up
until ip link show eth0 >/dev/null 2>&1; do sleep 0.05; done
ip addr add "10.89.0.1$number/24" dev eth0
ip link set eth0 up
ip route add 10.96.0.0/16 dev eth0 # services need some route before kube-proxy rewrites their addresses
for other in 1 2 3 4; do
    [ "$other" = "$number" ] || ip route add "10.244.$other.0/24" via "10.89.0.1$other"
done
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.disable_ipv6=1
sysctl -qw net.bridge.bridge-nf-call-iptables=1 # NetworkPolicies and services also between pods of one node
echo "nameserver 10.96.0.10" >/run/resolv.conf

# --- programs
fill() { sed -e "s#@pki@#$pki#; s#@name@#$name#; s#@number@#$number#" "$here/config/$1" >"$2"; }
fill network.conflist /run/cni/10-test.conflist
fill containerd.toml /run/containerd.toml
fill kubelet.yaml /run/kubelet.yaml
fill kube-proxy.yaml /run/kube-proxy.yaml
keep containerd containerd --config /run/containerd.toml &
keep kubelet kubelet --config /run/kubelet.yaml --kubeconfig "$pki/$name.conf" \
    --hostname-override "$name" --node-ip "10.89.0.1$number" --node-labels "topology.kubernetes.io/zone=zone-$number" &
keep kube-proxy kube-proxy --config /run/kube-proxy.yaml --hostname-override "$name" &
keep network-policy python3 "$here/network_policy.py" "$pki" &
wait
