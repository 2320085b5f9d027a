#!/usr/bin/env bash
# N agents started together with one seed: how long after the last start every view is complete.
# together.sh [NODES [RUNS]], by default 32 and 10. All of them share this machine's processors.
# LOSS=1: one datagram in a hundred is lost, in a network namespace of its own (root, ip and nft). SERF=no: without serf.
. "$(dirname "$0")/lib.sh"
if [ -n "${LOSS:-}" ]; then
    own_network "$@"
    lose "$LOSS"
fi
. "$(dirname "$0")/serf.sh"

n=${1:-32} runs=${2:-10}
# A random key of 32 bytes needs no stretching: that cost is start.sh's to measure.
CHISME_COOKIE=$(printf '5a%.0s' {1..32})

chisme_start() { start "$1" --connect "$net.1:4747"; }
# When the last view became complete.
chisme_whole() {
    local i
    complete "$n" 60
    for ((i = 1; i <= n; i++)); do sed -n '$s/.*"t":\([0-9]*\).*/\1/p' "$work/$i"; done | sort -n | tail -1
}
serf_whole() { serf_joins "1-$n" "$n" 0 240; }

measure() {
    local kind=$1 run i last whole
    for ((run = 1; run <= runs; run++)); do
        for ((i = 1; i <= n; i++)); do "${kind}_start" "$i" 1; done
        last=$(now)
        whole=$("${kind}_whole")
        echo $((whole - last))
        for ((i = 1; i <= n; i++)); do kill -KILL "${pids[i]}"; done
        rm -rf "$work"/[0-9]* "$work"/run* "$work"/serf*
        net=127.$((RANDOM % 200 + 20)).$((RANDOM % 250))
    done >"$work/times"
}
for kind in $(kinds); do
    measure "$kind"
    times=$(sort -n "$work/times")
    case $kind-$n in
        chisme-32) target="<= 400 ms" worst="<= 1500 ms" ;;
        chisme-*) target="<= 800 ms" worst="<= 1500 ms" ;;
        *) target=- worst=- ;;
    esac
    report "$kind: $n views complete, median of $runs" "$(ms "$(sed -n "$(((runs + 1) / 2))p" <<<"$times")")" ms "$target"
    report "$kind: $n views complete, slowest of $runs" "$(ms "$(tail -1 <<<"$times")")" ms "$worst"
done
