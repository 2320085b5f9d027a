#!/usr/bin/env bash
# N agents started together with one seed: how long after the last start every view is complete.
# together.sh [NODES [RUNS]], by default 32 and 10. All of them share this machine's processors.
# LOSS=1: one datagram in a hundred is lost, in a network namespace of its own (root, ip and nft).
if [ -n "${LOSS:-}" ] && [ -z "${LOSES:-}" ]; then
    exec unshare --net env LOSES=1 bash "$0" "$@"
fi
. "$(dirname "$0")/lib.sh"
if [ -n "${LOSS:-}" ]; then
    ip link set lo up
    nft add table inet chisme
    nft 'add chain inet chisme in { type filter hook input priority 0; }'
    nft add rule inet chisme in meta l4proto udp numgen random mod 100 '<' "$LOSS" drop
fi

n=${1:-32} runs=${2:-10}
# A random key of 32 bytes needs no stretching: that cost is start.sh's to measure.
CHISME_COOKIE=$(printf '5a%.0s' {1..32})
case $n in
    32) target=400 median_of_others="kinship 400" worst_of_others="kinship 1,040, serf 2,700, foca 23,000" ;;
    *) target=800 median_of_others="foca 720 at 128" worst_of_others="kinship 6,500 at 100, foca 30,000 at 128" ;;
esac
for ((run = 1; run <= runs; run++)); do
    for ((i = 1; i <= n; i++)); do start "$i" --connect "$net.1:4747"; done
    last=$(now)
    complete "$n" 60
    done=$(for ((i = 1; i <= n; i++)); do sed -n '$s/.*"t":\([0-9]*\).*/\1/p' "$work/$i"; done | sort -n | tail -1)
    echo $((done - last))
    for ((i = 1; i <= n; i++)); do kill -KILL "${pids[i]}"; done
    rm -rf "$work"/[0-9]* "$work"/run*
    net=127.$((RANDOM % 200 + 20)).$((RANDOM % 250))
done >"$work/times"
sort -n "$work/times" >"$work/sorted"
median=$(sed -n "$(((runs + 1) / 2))p" "$work/sorted")
report "$n views complete, median of $runs" "$(ms "$median")" ms "<= $target ms" "$median_of_others"
report "$n views complete, slowest of $runs" "$(ms "$(tail -1 "$work/sorted")")" ms "<= 1500 ms" "$worst_of_others"
