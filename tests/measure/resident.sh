#!/usr/bin/env bash
# The memory of an agent that knows 1,000, and one that knows 10,000 members. Nobody lives at their addresses: the
# example `crowd` is one member that vouches for all of them, and the agent learns them by pages, as any joiner does.
# resident.sh [MEMBERS...], by default 1000 and 10000.
. "$(dirname "$0")/lib.sh"

cd "$here"
cargo build --release --quiet -p chisme --example crowd
crowd=${CARGO_TARGET_DIR:-$here/target}/release/examples/crowd

resident() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/${pids[$1]}/status"; }
for members in "${@:-1000 10000}"; do
    for count in $members; do
        "$crowd" "$count" "$net.200:4747" </dev/null &
        pids[0]=$!
        disown $!
        start 1 --connect none
        alone=$(sleep 1 && resident 1)
        CHISME_RUNTIME_DIR=$work/run1 "$CHISME" connect "$net.200:4747" >/dev/null
        begun=$(now) most=0
        # Nobody answers, so that some are called Down again while the last are learnt.
        until [ "$most" -ge $((count * 99 / 100)) ]; do
            [ $(($(now) - begun)) -lt 60000000000 ] || { echo "it knows $most of $count" >&2; exit 1; }
            sleep 0.1
            most=$(members_of 1)
        done
        took=$(($(now) - begun))
        sleep 1
        case $count in 1000) target=14 ;; *) target=40 ;; esac
        report "an agent that knows $count, resident" "$(awk -v k="$(resident 1)" 'BEGIN { printf "%.1f", k / 1024 }')" MB \
            "<= $target MB" "$(awk -v k="$alone" 'BEGIN { printf "%.1f", k / 1024 }') alone"
        report "until it knows them" "$(ms "$took")" ms "-"
        kill -KILL "${pids[0]}" "${pids[1]}"
        rm -rf "$work"/run1
        net=127.$((RANDOM % 200 + 20)).$((RANDOM % 250))
    done
done
