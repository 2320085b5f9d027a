#!/usr/bin/env bash
# What an idle agent costs: memory, CPU and bytes sent, averaged over all agents; beside serf, encrypted, if it is there.
# idle.sh [NODES [SECONDS]], by default 128 and 60. A cluster of 128 on two cores takes a while to form.
# In a network namespace of its own (root, ip and nft), where all that arrives is counted. SERF=no: without serf.
. "$(dirname "$0")/lib.sh"
own_network "$@"
. "$(dirname "$0")/serf.sh"

n=${1:-128} span=${2:-60}
key=$(head -c 32 /dev/zero | tr '\0' k | base64)

chisme_start() { start "$1" --connect "$net.1:4747"; }
chisme_formed() { complete "$n" 180; }
chisme_downs() { cat "$work"/[0-9]* | grep -c '"event":"down"' || true; }
serf_begin() { serf_start "$1" 1 -encrypt="$key" -retry-interval=2s; }
serf_formed() { serf_joins "1-$n" "$n" 0 300 >/dev/null; }
serf_downs() { cat "$work"/serf* | grep -c Failed || true; }

# CPU nanoseconds of all threads of all agents.
cpu() {
    local pid
    for pid in "${pids[@]}"; do cat /proc/"$pid"/task/*/schedstat; done | awk '{ sum += $1 } END { printf "%.0f", sum }'
}
# Bytes that have arrived, headers of IP included.
arrived() { nft list chain inet chisme in | sed -n 's/.* bytes \([0-9]*\).*/\1/p'; }
mb() { awk -v k="$1" 'BEGIN { printf "%.1f", k / 1024 }'; }
# target KIND TEXT: the targets are ours.
target() { if [ "$1" = chisme ]; then echo "$2"; else echo -; fi; }

for kind in $(kinds); do
    start_one=${kind}_start
    [ "$kind" = chisme ] || start_one=serf_begin
    pids=()
    for ((i = 1; i <= n; i++)); do "$start_one" "$i"; done
    "${kind}_formed"
    echo "$kind: $n agents see each other; settling for 20 s" >&2
    sleep 20
    nft add rule inet chisme in counter
    sent0=$(arrived) sent0_at=$(now)
    cpu0=$(cpu) cpu0_at=$(now)
    sleep "$span"
    cpu1=$(cpu) cpu1_at=$(now)
    sent1=$(arrived) sent1_at=$(now)
    nft flush chain inet chisme in

    rss=$(for pid in "${pids[@]}"; do sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status"; done | sort -n)
    report "$kind: resident, median of $n" "$(mb "$(sed -n "$(((n + 1) / 2))p" <<<"$rss")")" MB "$(target "$kind" "<= 8 MB")"
    report "$kind: resident, largest of $n" "$(mb "$(tail -1 <<<"$rss")")" MB "$(target "$kind" "<= 8 MB")"
    report "$kind: CPU" "$(awk -v c=$((cpu1 - cpu0)) -v t=$((cpu1_at - cpu0_at)) -v n="$n" 'BEGIN { printf "%.2f", c / t * 1000 / n }')" \
        ms/s "$(target "$kind" "<= 1 ms/s")"
    report "$kind: IP bytes sent" "$(awk -v b=$((sent1 - sent0)) -v t=$((sent1_at - sent0_at)) -v n="$n" 'BEGIN { printf "%.0f", b / t * 1e9 / n }')" \
        B/s "$(target "$kind" "<= 300 B/s")"
    report "$kind: downs printed meanwhile" "$("${kind}_downs")" "" "$(target "$kind" 0)"
    for i in "${pids[@]}"; do kill -KILL "$i" 2>/dev/null || true; done
    net=127.$((RANDOM % 200 + 20)).$((RANDOM % 250))
done
