#!/usr/bin/env bash
# How long until half and all of the others know that one agent is gone: killed (SIGKILL, its host lives
# on and says that nobody listens) or silent (SIGSTOP, like a host that crashed). One after another, each
# victim replaced before the next. Beside serf of Debian with its LAN profile, where it is installed.
# kills.sh [NODES [VICTIMS OF EACH KIND]], by default 32 and 30. PRESET=fast: with that preset. SERF=no: without
# serf, which takes most of the time.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/serf.sh"

n=${1:-32} kills=${2:-30}
[ -z "${PRESET:-}" ] || export CHISME_PRESET=$PRESET

# complete COUNT SINCE: until all see all; or, of serf's, until each has seen so many come.
serf_complete() { serf_joins "1-$n" "$1" "$2" 240 >/dev/null; }
# When each of the others learnt that agent I is gone, of the moments after SINCE.
chisme_known() {
    grep -h "\"event\":\"down\",\"peer\":\"n$1@measure.test\"" "$work"/[0-9]* |
        sed 's/.*"t":\([0-9]*\).*/\1/' | awk -v since="$2" '$1 > since'
}
serf_known() {
    awk -v since="$2" -v name="n$1" '$2 == "Failed" && $3 == name && $1 > since { print $1 }' "$work"/serf[0-9]*
}
chisme_start() { start "$1" ${2:+--connect "$net.$2:4747"}; }
chisme_complete() { complete "$n" 180; }

# victims KIND SIGNAL: prints, for each victim, after how many ns half and all of the others knew.
victims() {
    local kind=$1 signal=$2 k victim since end known back
    for ((k = 0; k < kills; k++)); do
        victim=$((2 + (k * 7 + 3) % (n - 1)))
        # Not in step with anybody's period, nor with what the victim before has set off.
        sleep "$((2 + RANDOM % 2)).$(printf %03d $((RANDOM % 1000)))"
        since=$(now)
        kill "-$signal" "${pids[victim]}"
        end=$(($(date +%s) + 90))
        until [ "$("${kind}_known" "$victim" "$since" | wc -l)" -ge $((n - 1)) ]; do
            [ "$(date +%s)" -le "$end" ] || { echo "$kind: not all know of n$victim after 90 s" >&2; exit 1; }
            sleep 0.25
        done
        known=$("${kind}_known" "$victim" "$since" | sort -n)
        echo "$(($(sed -n "$((n / 2))p" <<<"$known") - since)) $(($(tail -1 <<<"$known") - since))"
        kill -KILL "${pids[victim]}" 2>/dev/null || true
        # What the last run of it wrote is no answer to whether the next one sees all.
        : >"$work/$victim"
        back=$(now)
        "${kind}_start" "$victim" 1
        "${kind}_complete" 1 "$back"
        echo "$kind $signal $((k + 1)) of $kills" >&2
    done
}
# quantile FILE COLUMN PERCENT, in seconds.
quantile() {
    sort -n -k"$2,$2" "$1" | awk -v c="$2" -v p="$3" '{ v[NR] = $c } END { i = int((NR * p + 99) / 100); printf "%.2f", v[i < 1 ? 1 : i] / 1e9 }'
}
measure() {
    local kind=$1 i
    "${kind}_start" 1
    for ((i = 2; i <= n; i++)); do "${kind}_start" "$i" 1; done
    "${kind}_complete" "$n" 0
    victims "$kind" KILL >"$work/$kind.KILL"
    victims "$kind" STOP >"$work/$kind.STOP"
    for i in "${pids[@]}"; do kill -KILL "$i" 2>/dev/null || true; done
}

mapfile -t kinds < <(kinds)
for kind in "${kinds[@]}"; do measure "$kind"; done
printf '%-34s' "$n agents, $kills victims each, s"
for kind in "${kinds[@]}"; do printf ' %12s %12s %12s %12s' "$kind half p50" "p99" "all p50" "p99"; done
printf '\n'
for signal in KILL STOP; do
    printf '%-34s' "SIG$signal"
    for kind in "${kinds[@]}"; do
        file=$work/$kind.$signal
        printf ' %12s %12s %12s %12s' "$(quantile "$file" 1 50)" "$(quantile "$file" 1 99)" \
            "$(quantile "$file" 2 50)" "$(quantile "$file" 2 99)"
    done
    printf '\n'
done
if [ -z "${PRESET:-}" ]; then
    echo "targets for all, p50 and p99: SIGKILL 1.5 and 5.5 s, SIGSTOP 5.0 and 8.5 s"
fi
echo "load of this machine at the end: $(cut -d' ' -f1-3 /proc/loadavg), processors: $(nproc)"
