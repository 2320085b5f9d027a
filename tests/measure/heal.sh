#!/usr/bin/env bash
# A network that was cut in two halves for 60 to 90 s: how long after it is whole again until every view is complete.
# heal.sh [NODES [RUNS]], by default 32 and 5. In a network namespace of its own (root, ip and nft).
. "$(dirname "$0")/lib.sh"
own_network "$@"
. "$(dirname "$0")/serf.sh"

n=${1:-32} runs=${2:-5}

cut_in_two() {
    local one="$net.1-$net.$((n / 2))" other="$net.$((n / 2 + 1))-$net.$n"
    nft add rule inet chisme in ip saddr "$one" ip daddr "$other" drop
    nft add rule inet chisme in ip saddr "$other" ip daddr "$one" drop
    # serf connects from no address in particular, so that nothing says on which side it is: no TCP at all.
    nft add rule inet chisme in meta l4proto tcp drop
}
# Each half has buried the other.
chisme_apart() {
    local i
    for ((i = 1; i <= n; i++)); do
        [ "$(members_of "$i")" = $((i <= n / 2 ? n / 2 : n - n / 2)) ] || { echo "n$i sees $(members_of "$i")" >&2; exit 1; }
    done
}
serf_apart() {
    local i failed
    for ((i = 1; i <= n; i++)); do
        failed=$(awk '$2 == "Failed"' "$work/serf$i" | wc -l)
        [ "$failed" -ge $((i <= n / 2 ? n - n / 2 : n / 2)) ] || { echo "serf: n$i has lost $failed" >&2; exit 1; }
    done
}
chisme_start() { start "$1" ${2:+--connect "$net.$2:4747"}; }
chisme_formed() { complete "$n" 60; }
serf_formed() { serf_joins "1-$n" "$n" 0 180 >/dev/null; }
# Prints when the last view became complete.
chisme_whole() {
    complete "$n" 180
    for ((i = 1; i <= n; i++)); do sed -n '$s/.*"t":\([0-9]*\).*/\1/p' "$work/$i"; done | sort -n | tail -1
}
serf_whole() {
    local half=$((n / 2)) first second
    first=$(serf_joins "1-$half" $((n - half)) "$1" 300)
    second=$(serf_joins "$((half + 1))-$n" "$half" "$1" 300)
    echo $((first > second ? first : second))
}

measure() {
    local kind=$1 run i since whole
    for ((run = 1; run <= runs; run++)); do
        "${kind}_start" 1
        for ((i = 2; i <= n; i++)); do "${kind}_start" "$i" 1; done
        "${kind}_formed"
        sleep 5
        cut_in_two
        sleep $((60 + RANDOM % 30))
        "${kind}_apart"
        nft flush chain inet chisme in
        since=$(now)
        whole=$("${kind}_whole" "$since")
        echo $((whole - since))
        for ((i = 1; i <= n; i++)); do kill -KILL "${pids[i]}" 2>/dev/null || true; done
        rm -rf "$work"/[0-9]* "$work"/run* "$work"/serf*
        net=127.$((RANDOM % 200 + 20)).$((RANDOM % 250))
        echo "$kind $run of $runs" >&2
    done >"$work/times"
}
for kind in $(kinds); do
    measure "$kind"
    times=$(sort -n "$work/times")
    target="<= 2000 ms" worst="<= 5000 ms"
    [ "$kind" = chisme ] || target=- worst=-
    report "$kind: $n whole again, median of $runs" "$(ms "$(sed -n "$(((runs + 1) / 2))p" <<<"$times")")" ms "$target"
    report "$kind: $n whole again, slowest of $runs" "$(ms "$(tail -1 <<<"$times")")" ms "$worst"
done
