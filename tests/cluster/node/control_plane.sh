#!/usr/bin/env bash
# control_plane.sh STATE: process 1 of the cluster's own namespaces (network, mounts, processes). It holds the bridge
# that the nodes are plugged into and runs the control plane. When it ends, the kernel ends every process of every node
# and takes away all mounts. There is no route out.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/paths.sh"
state=$1/control-plane
pki=$1/pki
mkdir -p "$state"/{log,paused,running}

mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs -o mode=755 run /run
# Unpacked images are kept in memory: on a disk, tens of thousands of small files take longer to write and to remove
# than all tests. It is mounted here so that a node which loses its power still has them when it comes back.
mkdir "$1/images"
mount -t tmpfs -o size=75% images "$1/images"

ip link set lo up
ip link add bridge0 type bridge
ip addr add 10.89.0.1/24 dev bridge0
ip link set bridge0 up
for number in 1 2 3 4; do # the pods of each node, so that the API server reaches webhooks
    ip route add "10.244.$number.0/24" via "10.89.0.1$number"
done
touch "$state/ground-laid" # nodes may be plugged in

mkdir /run/etcd # in memory: a test's cluster need not outlive anything, and fsync is what etcd waits for most
etcd_url=http://127.0.0.1:2379
keep etcd etcd --name test --data-dir /run/etcd --listen-client-urls $etcd_url --advertise-client-urls $etcd_url \
    --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
    --initial-cluster test=http://127.0.0.1:2380 &
keep kube-apiserver kube-apiserver --etcd-servers=$etcd_url --secure-port=6443 --advertise-address=10.89.0.1 \
    --service-cluster-ip-range=10.96.0.0/16 --allow-privileged=true \
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
    --default-not-ready-toleration-seconds=5 --default-unreachable-toleration-seconds=5 \
    --audit-policy-file="$here/config/audit.yaml" --audit-log-path="$state/log/audit.log" --audit-log-maxsize=500 \
    --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" --client-ca-file="$pki/ca.crt" \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --service-account-key-file="$pki/service-accounts.pub" \
    --service-account-signing-key-file="$pki/service-accounts.key" \
    --kubelet-certificate-authority="$pki/ca.crt" --kubelet-preferred-address-types=InternalIP \
    --kubelet-client-certificate="$pki/apiserver-kubelet.crt" --kubelet-client-key="$pki/apiserver-kubelet.key" \
    --requestheader-client-ca-file="$pki/front-proxy-ca.crt" --requestheader-allowed-names=front-proxy \
    --requestheader-extra-headers-prefix=X-Remote-Extra- --requestheader-group-headers=X-Remote-Group \
    --requestheader-username-headers=X-Remote-User --enable-aggregator-routing=true \
    --proxy-client-cert-file="$pki/front-proxy.crt" --proxy-client-key-file="$pki/front-proxy.key" &

# The other two give up for good when they find no API server.
until kubectl --kubeconfig "$pki/admin.conf" get --raw /readyz >/dev/null 2>&1; do sleep 0.1; done
acts_as() { echo "--kubeconfig=$1 --authentication-kubeconfig=$1 --authorization-kubeconfig=$1 --leader-elect=false"; }
# A node that is silent for 8 s is lost, and its pods are replaced 5 s later: minutes in production.
keep kube-controller-manager kube-controller-manager $(acts_as "$pki/controller-manager.conf") \
    --use-service-account-credentials --root-ca-file="$pki/ca.crt" \
    --service-account-private-key-file="$pki/service-accounts.key" \
    --cluster-signing-cert-file="$pki/ca.crt" --cluster-signing-key-file="$pki/ca.key" \
    --cluster-cidr=10.244.0.0/16 --allocate-node-cidrs=false --service-cluster-ip-range=10.96.0.0/16 \
    --node-monitor-period=1s --node-monitor-grace-period=8s \
    --flex-volume-plugin-dir=/run/flexvolume &
keep kube-scheduler kube-scheduler $(acts_as "$pki/scheduler.conf") &
wait
