# Shared by the measurements that stand beside serf of Debian, with its LAN profile. Sourced after lib.sh.
#
# Its own log says what it sees at once; its event handlers are told later, since it gathers events for them.
# SERF=no leaves serf out.

# Prints the kinds that are measured: chisme, and serf if it is there and wanted.
kinds() {
    echo chisme
    [ "${SERF:-yes}" != no ] || return 0
    if command -v serf >/dev/null; then echo serf; else echo "serf is not installed: no figures of it" >&2; fi
}

# serf_start I [J [ARGUMENT...]]: agent nI, which joins nJ; its pid is pids[I]. In $work/serfI there is a line for
# each event, "NANOSECONDS Join NAME" or "NANOSECONDS Failed NAME".
serf_start() {
    local i=$1 join=${2:-}
    shift $(($# < 2 ? $# : 2))
    serf agent -node="n$i" -bind="$net.$i:7946" -rpc-addr="$net.$i:7373" -log-level=info \
        ${join:+-retry-join="$net.$join:7946"} "$@" </dev/null > >(serf_events >>"$work/serf$i") 2>&1 &
    pids[i]=$!
    disown $!
}
serf_events() {
    local line
    while read -r line; do
        if [[ $line =~ EventMember(Join|Failed):\ ([^ ]+) ]]; then
            printf '%s %s %s\n' "${EPOCHREALTIME/[.,]/}000" "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
        fi
    done
}
# serf_joined I SINCE: the moments after SINCE when agent I first saw each of the members that it has seen since.
serf_joined() {
    awk -v since="$2" '$1 > since && $2 == "Join" && !seen[$3]++ { print $1 }' "$work/serf$1"
}
# serf_joins FROM-TO COUNT SINCE SECONDS: waits until these agents have each seen COUNT members come since SINCE, and
# prints when the last of them had.
serf_joins() {
    local from=${1%-*} to=${1#*-} count=$2 since=$3 end=$(($(date +%s) + $4)) i joined
    for ((i = from; i <= to; i++)); do
        until joined=$(serf_joined "$i" "$since") && [ "$(wc -w <<<"$joined")" -ge "$count" ]; do
            [ "$(date +%s)" -le "$end" ] || { echo "serf: n$i saw $(wc -w <<<"$joined") of $count come after $4 s" >&2; exit 1; }
            sleep 0.2
        done
        sed -n "${count}p" <<<"$joined"
    done | sort -n | tail -1
}
