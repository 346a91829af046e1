#!/usr/bin/env bash
# Builds what the node runs into the cache: programs from Go modules, images with buildah. Only this step needs the
# package registries (Go modules, Debian). What was built from the same sources is kept, so a second run takes a second.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/paths.sh"
mkdir -p "$bin" "$cache/stamps" "$layout"
exec 9>"$cache/build.lock"
flock 9 # another test run may be building the same

kubernetes_version=v1.35.4
local_path_provisioner=github.com/rancher/local-path-provisioner@v0.0.30
helm=helm.sh/helm/v3/cmd/helm@v3.22.0
gateway_api=sigs.k8s.io/gateway-api@v1.4.1
export CGO_ENABLED=0 GOFLAGS="-buildvcs=false -trimpath"

# once NAME STAMP COMMAND...: run the command, unless it has succeeded with the same stamp before.
once() {
    local name=$1 stamp=$2 file=$cache/stamps/${1//[:\/]/-} begin=$SECONDS
    shift 2
    [ "$(cat "$file" 2>/dev/null)" = "$stamp" ] && return
    echo "building $name"
    "$@"
    echo "$stamp" >"$file"
    echo "built $name in $((SECONDS - begin)) s"
}

sources() { # PATH...: a checksum over what the files hold
    find "$@" -type f -print0 | sort -z | xargs -0 sha256sum | sed "s#$here/##" | sha256sum
}

go_program() { # NAME LDFLAGS: from programs/NAME
    (cd "$here/programs/$1" && go build -ldflags="-s -w $2" -o "$bin/$1.new" .)
    mv "$bin/$1.new" "$bin/$1" # a running node keeps the old file
}

go_install() { # PACKAGE@VERSION
    GOBIN=$bin go install -ldflags="-s -w" "$1"
}

route_definition() { # the Gateway API's own, of which the tests install one kind
    local folder
    folder=$(cd / && go mod download -json "$gateway_api" | python3 -c 'import json, sys; print(json.load(sys.stdin)["Dir"])')
    mkdir -p "$cache/gateway-api"
    install -m 644 "$folder/config/crd/standard/gateway.networking.k8s.io_httproutes.yaml" "$cache/gateway-api/httproutes.yaml"
}

base_files() { # Debian with Python: under the project's image in the tests, in place of python:slim
    rm -rf "$cache/base"
    debootstrap --variant=minbase --include=python3,python3-venv,python3-pip,ca-certificates bookworm "$cache/base" \
        >"$cache/debootstrap.log"
    tar -C "$cache/base" -cf "$cache/base.tar" --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' .
    rm -rf "$cache/base"
}

image() { # NAME CONTEXT: from images/NAME.Containerfile, into the layout where all images share their layers
    "$here/buildah.sh" build -q -f "$here/images/$1.Containerfile" -t "$(tagged "$1")" "$2" >/dev/null
    "$here/buildah.sh" push --quiet "$(tagged "$1")" "oci:$layout:$(tagged "$1")"
}

once base "bookworm 1" base_files & # waits for the network, mostly
base=$!

v="-X k8s.io/component-base/version"
once kube "$kubernetes_version $(sources "$here/programs/kube")" go_program kube \
    "$v.gitVersion=$kubernetes_version $v.gitMajor=1 $v.gitMinor=35 $v.gitTreeState=clean"
for component in kube-apiserver kube-controller-manager kube-proxy kube-scheduler kubelet kubectl; do
    ln -sf kube "$bin/$component"
done
once coredns "$(sources "$here/programs/coredns")" go_program coredns ""
once skipper "$(sources "$here/programs/skipper")" go_program skipper ""
once local-path-provisioner "$local_path_provisioner" go_install "$local_path_provisioner"
once helm "$helm" go_install "$helm"
once gateway-api "$gateway_api" route_definition
once pause "$(sources "$here/images/pause.c")" gcc -static -Os -o "$bin/pause" "$here/images/pause.c"

wait "$base"
for program in pause coredns skipper local-path-provisioner; do
    once "image $program" "$(sources "$here/images/$program.Containerfile" "$cache/stamps/$program")" image "$program" "$bin"
done
once "image python" "$(sources "$here/images/python.Containerfile" "$cache/stamps/base")" image python "$cache"
from_python() { sources "$@" "$cache/stamps/image python"; }
once "image echo" "$(from_python "$here/images/echo.Containerfile" "$here/images/echo.py")" image echo "$here/images"
once "image redis" "$(from_python "$here/images/redis.Containerfile")" image redis "$here/images"
