#!/usr/bin/env bash
# How long `chisme agent` takes from its start to its `ready` line (the stretching of the cookie
# included), and how large the binary is. Takes a few seconds.
. "$(dirname "$0")/lib.sh"

runs=${1:-20}
for ((i = 1; i <= runs; i++)); do
    before=$(now)
    start "$i" --connect none
    until [ -s "$work/$i" ]; do
        kill -0 "${pids[i]}" 2>/dev/null || { cat "$work/$i.log" >&2; exit 1; }
        sleep 0.002
    done
    ready=$(sed -n '1s/.*"t":\([0-9]*\).*/\1/p' "$work/$i")
    echo $((ready - before))
    kill -KILL "${pids[i]}"
done >"$work/times"
sort -n "$work/times" >"$work/sorted"
median=$(sed -n "$(((runs + 1) / 2))p" "$work/sorted")
report "start to ready, median of $runs" "$(ms "$median")" ms "<= 100 ms"
report "start to ready, slowest of $runs" "$(ms "$(tail -1 "$work/sorted")")" ms "<= 100 ms"
bytes=$(stat -c %s "$CHISME")
report "binary" "$(awk -v b="$bytes" 'BEGIN { printf "%.1f", b / 1048576 }')" MB "<= 12 MB"
