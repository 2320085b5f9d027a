# Shared by the measurements in this folder: agents on loopback, one address each, that are ended
# and cleaned up however the script ends. Needs nothing but bash, coreutils, sed, grep and awk.
#
# CHISME names the binary (default: target/release/chisme, built when it is missing).

set -euo pipefail
shopt -s inherit_errexit
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
CHISME=${CHISME:-${CARGO_TARGET_DIR:-$here/target}/release/chisme}
[ -x "$CHISME" ] || (cd "$here" && cargo build --release --quiet --bin chisme)

work=$(mktemp -d)
declare -a pids=()
export CHISME_COOKIE="a cookie for measurements only" NO_COLOR=1

end_all() {
    local pid
    for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap end_all EXIT
trap 'exit 130' INT TERM

# own_network "$@": the script goes on in a network namespace of its own, where a rule in the chain `in` of the
# table `inet chisme` sees all that arrives. Needs root, unshare, ip and nft.
own_network() {
    if [ -z "${IN_OWN_NETWORK:-}" ]; then
        rm -rf "$work"
        exec unshare --net env IN_OWN_NETWORK=1 bash "$0" "$@"
    fi
    ip link set lo up
    nft add table inet chisme
    nft 'add chain inet chisme in { type filter hook input priority 0; }'
}
# lose PERCENT: so many of all datagrams are lost, each by itself.
lose() { nft add rule inet chisme in meta l4proto udp numgen random mod 100 '<' "$1" drop; }

now() { date +%s%N; }
net=127.$((RANDOM % 200 + 20)).$((RANDOM % 250))

# start I [ARGUMENT...]: agent nI at its own address; its pid is pids[I], its events are in $work/I.
start() {
    local i=$1
    shift
    mkdir -p "$work/run$i"
    CHISME_RUNTIME_DIR=$work/run$i "$CHISME" agent --name "n$i@measure.test" --bind "$net.$i:4747" \
        --events json --log warn "$@" >"$work/$i" 2>"$work/$i.log" </dev/null &
    pids[i]=$!
    # Bash would report each one that is ended.
    disown $!
}

# The n of the last event of agent I: how many members it sees, itself included.
members_of() { sed -n '$s/.*"n":\([0-9]*\).*/\1/p' "$work/$1"; }

# complete N SECONDS: waits until agents 1 to N see N members each.
complete() {
    local n=$1 end=$(($(date +%s) + $2)) i
    for ((i = 1; i <= n; i++)); do
        while [ "$(members_of "$i")" != "$n" ]; do
            if [ "$(date +%s)" -gt "$end" ]; then
                echo "agent $i sees $(members_of "$i") of $n after $2 s" >&2
                tail -5 "$work/$i.log" >&2
                exit 1
            fi
            sleep 0.05
        done
    done
}

# The latest `t` of EVENT about PEER in the events of agents 1 to N, in nanoseconds.
latest() {
    local event=$1 peer=$2 n=$3 i
    for ((i = 1; i <= n; i++)); do
        { grep "\"event\":\"$event\"" "$work/$i" || true; } | { grep "\"peer\":\"$peer\"" || true; } |
            sed -n '1s/.*"t":\([0-9]*\).*/\1/p'
    done | sort -n | tail -1
}

ms() { awk -v ns="$1" 'BEGIN { printf "%.1f", ns / 1e6 }'; }

# report WHAT FIGURE UNIT TARGET BASELINE
report() { printf '%-46s %12s %-6s target %-12s %s\n' "$1" "$2" "$3" "$4" "${5:+($5)}"; }
