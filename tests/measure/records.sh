#!/usr/bin/env bash
# How long until all agents know a tag that was changed on one of them, and a record of 16 KiB.
# records.sh [NODES [CHANGES]], by default 128 and 20. The time counts from before the command that changes it.
# LOSS=10: ten datagrams in a hundred are lost, in a network namespace of its own (root, ip and nft).
. "$(dirname "$0")/lib.sh"
[ -z "${LOSS:-}" ] || own_network "$@"

n=${1:-128} changes=${2:-20}
for ((i = 1; i <= n; i++)); do start "$i" --connect "$net.1:4747"; done
complete "$n" 180
echo "$n agents see each other; settling for 10 s" >&2
sleep 10
[ -z "${LOSS:-}" ] || lose "$LOSS"

# updates I: how many records of agent I all agents have told of so far.
updates() { cat "$work"/[0-9]* | grep '"event":"updated"' | grep -c "\"peer\":\"n$1@measure.test\"" || true; }
# change I LIMIT TAG...: sets tags on agent I and prints, for each agent, the milliseconds until it told of it.
change() {
    local i=$1 limit=$2 end before t0 j
    shift 2
    before=$(updates "$i")
    t0=$(now)
    CHISME_RUNTIME_DIR=$work/run$i "$CHISME" tags set "$@"
    end=$(($(date +%s) + limit))
    until [ "$(updates "$i")" -ge $((before + n)) ]; do
        [ "$(date +%s)" -le "$end" ] || { echo "$(($(updates "$i") - before)) of $n after $limit s" >&2; exit 1; }
        sleep 0.1
    done
    for ((j = 1; j <= n; j++)); do
        grep '"event":"updated"' "$work/$j" | grep "\"peer\":\"n$i@measure.test\"" | tail -1 |
            sed 's/.*"t":\([0-9]*\).*/\1/'
    done | awk -v t0="$t0" '{ printf "%.1f\n", ($1 - t0) / 1e6 }'
}
percentile() { sort -n | awk -v p="$1" '{ v[NR] = $1 } END { i = int((NR * p + 99) / 100); print v[i < 1 ? 1 : i] }'; }

times=$(for ((k = 1; k <= changes; k++)); do change $((k * n / changes)) 20 "zone=eu-$k"; sleep 1; done)
report "a tag is known to $n agents, p50" "$(percentile 50 <<<"$times")" ms ""
report "a tag is known to $n agents, p99" "$(percentile 99 <<<"$times")" ms "<= 1000 ms" "about 1 s"
x=$(printf 'x%.0s' {1..4000})
times=$(change 2 20 "a=$x" "b=$x" "c=$x" "d=$x")
report "16 KiB are known to $n agents, p50" "$(percentile 50 <<<"$times")" ms ""
report "16 KiB are known to $n agents, worst" "$(percentile 100 <<<"$times")" ms "<= 5000 ms" "memberlist panics above 512 B"
