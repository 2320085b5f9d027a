#!/usr/bin/env bash
# 32 agents from one seed: when every view is complete, when a crash is known to all, and how many
# false downs there are at rest. detect.sh [NODES [SECONDS AT REST]], by default 32 and 600.
. "$(dirname "$0")/lib.sh"

n=${1:-32} rest=${2:-600}
for ((i = 1; i <= n; i++)); do start "$i" --connect "$net.1:4747"; done
last=$(now)
complete "$n" 60
done=$(for ((i = 1; i <= n; i++)); do sed -n '$s/.*"t":\([0-9]*\).*/\1/p' "$work/$i"; done | sort -n | tail -1)
report "$n views complete after the last start" "$(ms $((done - last)))" ms "<= 5000 ms"

victim=$((n / 2))
kill -KILL "${pids[victim]}"
crashed=$(now)
end=$(($(date +%s) + 60))
until [ "$(cat "$work"/[0-9]* | grep '"event":"down"' | grep -c "\"peer\":\"n$victim@measure.test\"")" -ge $((n - 1)) ]; do
    [ "$(date +%s)" -le "$end" ] || { echo "not all know of the crash after 60 s" >&2; exit 1; }
    sleep 0.1
done
known=$(latest down "n$victim@measure.test" "$n")
report "crash known to all of $n" "$(ms $((known - crashed)))" ms "<= 12000 ms" "memberlist 9.9 s at 100, kinship 8.6 s at 32"

downs() { cat "$work"/[0-9]* | grep -c '"event":"down"' || true; }
before=$(downs)
sleep "$rest"
report "false downs in $rest s at rest" "$(($(downs) - before))" "" "0"
