# Where things are. Sourced by the other scripts, with $here set to this folder.
cache=${XDG_CACHE_HOME:-$HOME/.cache}/realtime-gateway/cluster # what is built, outside any checkout
bin=$cache/bin
layout=$cache/images # an OCI layout with the node's own images
export PATH=$bin:$PATH:/usr/sbin:/sbin

# Overlays cannot be stacked: where the cache itself lies on one (in a container), buildah copies files instead.
store=overlay
if [ "$(stat -f -c %T "${XDG_CACHE_HOME:-$HOME}")" = overlayfs ]; then store=vfs; fi

tagged() { echo "realtime-gateway.test/$1:1"; }

# keep NAME COMMAND...: run the command again whenever it ends, unless the file paused/NAME forbids it.
keep() {
    local name=$1
    shift
    while :; do
        while [ -e "$state/paused/$name" ]; do sleep 0.1; done
        "$@" >>"$state/log/$name.log" 2>&1 &
        echo $! >"$state/running/$name"
        wait $! || true
        echo "$(date +%T) $name ended" >>"$state/log/ended.log"
        sleep 0.5
    done
}
