#!/usr/bin/env bash
# What an idle agent costs in a cluster of 128: memory, CPU and bytes sent, averaged over all agents.
# idle.sh [NODES [SECONDS]], by default 128 and 60. A cluster of 128 on two cores takes a while to form.
. "$(dirname "$0")/lib.sh"

n=${1:-128} span=${2:-60}
for ((i = 1; i <= n; i++)); do start "$i" --connect "$net.1:4747"; done
complete "$n" 180
echo "$n agents see each other; settling for 20 s" >&2
sleep 20

# CPU nanoseconds of all threads of all agents.
cpu() {
    local pid
    for pid in "${pids[@]}"; do cat /proc/"$pid"/task/*/schedstat; done | awk '{ sum += $1 } END { printf "%.0f", sum }'
}
# Bytes that agent I handed to IP: payload and 28 bytes of headers for each datagram.
sent() {
    CHISME_RUNTIME_DIR=$work/run$1 "$CHISME" status --json | tr ',{}' '\n\n\n' |
        awk -F: '/"datagrams_sent"/ { d = $2 } /"bytes_sent"/ { b = $2 } END { printf "%.0f", b + 28 * d }'
}
sample=$((n < 16 ? n : 16))
all_sent() {
    local i sum=0
    for ((i = 1; i <= sample; i++)); do sum=$((sum + $(sent $((i * n / sample))))); done
    echo "$sum"
}
sent0=$(all_sent) sent0_at=$(now)
cpu0=$(cpu) cpu0_at=$(now)
sleep "$span"
cpu1=$(cpu) cpu1_at=$(now)
sent1=$(all_sent) sent1_at=$(now)

rss=$(for pid in "${pids[@]}"; do sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status"; done | sort -n)
median=$(echo "$rss" | sed -n "$(((n + 1) / 2))p") most=$(echo "$rss" | tail -1)
mb() { awk -v k="$1" 'BEGIN { printf "%.1f", k / 1024 }'; }
report "resident, median of $n" "$(mb "$median")" MB "<= 8 MB" "foca bare 2.8, kinship 4.0, serf 15"
report "resident, largest of $n" "$(mb "$most")" MB "<= 8 MB"
report "CPU" "$(awk -v c=$((cpu1 - cpu0)) -v t=$((cpu1_at - cpu0_at)) -v n="$n" 'BEGIN { printf "%.2f", c / t * 1000 / n }')" ms/s \
    "<= 1 ms/s" "foca bare 0.5, kinship 0.3, serf 1.9"
report "IP bytes sent" "$(awk -v b=$((sent1 - sent0)) -v t=$((sent1_at - sent0_at)) -v n="$sample" 'BEGIN { printf "%.0f", b / t * 1e9 / n }')" B/s \
    "<= 300 B/s" "foca bare 143, kinship encrypted 280, serf encrypted 327"
downs=$(cat "$work"/[0-9]* | grep -c '"event":"down"' || true)
report "downs printed meanwhile" "$downs" "" "0"
