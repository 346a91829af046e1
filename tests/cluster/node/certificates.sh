#!/usr/bin/env bash
# certificates.sh DIRECTORY NODE=IP...: write a new cluster's keys, certificates and kubeconfigs, good for a month.
set -euo pipefail
umask 077
cd "$1"
shift
server=https://10.89.0.1:6443

authority() { # NAME
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$1.key" -out "$1.crt" -days 30 \
        -subj "/CN=$1" -addext keyUsage=critical,keyCertSign,digitalSignature 2>/dev/null
}

certificate() { # NAME AUTHORITY SUBJECT [ALTERNATIVE-NAMES]
    local extensions="extendedKeyUsage=serverAuth,clientAuth
keyUsage=critical,digitalSignature${4:+
subjectAltName=$4}"
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$1.key" -subj "$3" 2>/dev/null |
        openssl x509 -req -CA "$2.crt" -CAkey "$2.key" -CAcreateserial -days 30 -out "$1.crt" \
            -extfile <(echo "$extensions") 2>/dev/null
}

kubeconfig() { # NAME SUBJECT
    certificate "$1" ca "$2"
    cat >"$1.conf" <<YAML
apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: $1}}]
clusters: [{name: test, cluster: {server: "$server", certificate-authority-data: $(base64 -w0 ca.crt)}}]
users:
- name: $1
  user: {client-certificate-data: $(base64 -w0 "$1.crt"), client-key-data: $(base64 -w0 "$1.key")}
YAML
}

authority ca
authority front-proxy-ca
certificate apiserver ca /CN=kube-apiserver \
    "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,DNS:localhost,IP:127.0.0.1,IP:10.96.0.1,IP:10.89.0.1"
certificate apiserver-kubelet ca /O=system:masters/CN=kube-apiserver-kubelet
certificate front-proxy front-proxy-ca /CN=front-proxy
kubeconfig admin /O=system:masters/CN=admin
kubeconfig controller-manager /CN=system:kube-controller-manager
kubeconfig scheduler /CN=system:kube-scheduler
kubeconfig kube-proxy /CN=system:kube-proxy
kubeconfig network-policy /O=system:masters/CN=network-policy
for node in "$@"; do
    name=${node%=*} address=${node#*=}
    certificate "$name-server" ca "/O=system:nodes/CN=system:node:$name" "DNS:$name,IP:$address,IP:127.0.0.1"
    kubeconfig "$name" "/O=system:nodes/CN=system:node:$name"
done
openssl genrsa -out service-accounts.key 2048 2>/dev/null
openssl rsa -in service-accounts.key -pubout -out service-accounts.pub 2>/dev/null
