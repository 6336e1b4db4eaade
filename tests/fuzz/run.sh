#!/usr/bin/env bash
# Runs the fuzz targets, as many at once as there are cores:
#
#   tests/fuzz/run.sh [seconds 's' | minutes 'm' | executions] [target...]     e.g. 60s, or 200000 state trailer
#
# Each is run so long or so often; `signature`, which takes its time, a tenth as often. The inputs that were found
# are kept in the target directory and are where the next run begins, together with the seeds in corpus/, which
# `cargo run --example seeds` writes. SEED=n for other random numbers, JOBS=n for so many at once.
#
# Each run of a target is a line of fuzz/report.jsonl in the target directory: what it was, executions, seconds, whether
# there was a finding, and of which commit.
#
# Needs: rustup toolchain install nightly; cargo install --locked cargo-fuzz
set -euo pipefail

if ! cargo +nightly fuzz --version >/dev/null 2>&1; then
  echo "needed: rustup toolchain install nightly; cargo install --locked cargo-fuzz" >&2
  exit 1
fi

amount=${1:-60s}
[ $# = 0 ] || shift
targets=("$@")
# The slow ones first, so that none of them is what is waited for.
[ $# -gt 0 ] || targets=(signature image session http coap coap_tcp record trailer state trace wrapper head)

from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")"
target_dir=${CARGO_TARGET_DIR:-$(cd ../.. && pwd)/target}
case $target_dir in /*) ;; *) target_dir=$from/$target_dir ;; esac
work=$target_dir/fuzz
export CARGO_TARGET_DIR=$work
# They would replace those of cargo-fuzz.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS CARGO_BUILD_TARGET
host=$(rustc -vV | sed -n 's/^host: //p')
commit=$(git describe --always --abbrev=40 --exclude '*' --dirty 2>/dev/null || echo unknown)
jobs=${JOBS:-$(nproc)}
seed=${SEED:-1}
mkdir -p "$work/findings"

# The library has no unsafe code: what the address sanitizer would find there is a panic anyway.
cargo +nightly fuzz build --fuzz-dir . --sanitizer none --target "$host" 2>"$work.log" || {
  cat "$work.log" >&2
  exit 1
}

# fuzz TARGET: runs it, and leaves a line of the report in TARGET.line.
fuzz() {
  local name=$1 limit runs rate features seconds findings=0 began=$SECONDS
  local found=$work/corpus/$name log=$work/$name.log
  mkdir -p "$found"
  case $amount in
    *s) limit=-max_total_time=${amount%s} ;;
    *m) limit=-max_total_time=$((${amount%m} * 60)) ;;
    *) if [ "$name" = signature ]; then limit=-runs=$((amount / 10)); else limit=-runs=$amount; fi ;;
  esac
  if ! nice "$work/$host/release/$name" "$limit" -seed="$seed" -max_len=900 -timeout=10 -print_final_stats=1 \
    -artifact_prefix="$work/findings/$name-" "$found" "corpus/$name" >"$log" 2>&1; then
    findings=1
    grep -v '^#[0-9]' "$log" | grep -A12 -m1 -E 'panicked|ERROR' >&2 || tail -n 20 "$log" >&2
    sed -n 's/.*Test unit written to /kept in /p' "$log" >&2
  fi
  seconds=$((SECONDS - began))
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
  features=$(sed -n 's/^#[0-9]*[^0-9]*DONE.* ft: \([0-9]*\) .*/\1/p' "$log")
  printf '%-10s %12d %8d %8d %8d %9d\n' "$name" "${runs:-0}" "$seconds" "${rate:-0}" \
    "$(find "$found" -type f | wc -l)" "${features:-0}"
  printf '{"target":"%s","executions":%d,"seconds":%d,"findings":%d,"seed":%d,"commit":"%s"}\n' \
    "$name" "${runs:-0}" "$seconds" "$findings" "$seed" "$commit" >"$work/$name.line"
}

printf '%-10s %12s %8s %8s %8s %9s\n' target executions seconds exec/s inputs features
for name in "${targets[@]}"; do
  while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n || true; done
  rm -f "$work/$name.line"
  fuzz "$name" &
done
wait

lines=()
for name in "${targets[@]}"; do
  lines+=("$(cat "$work/$name.line")")
done
printf '%s\n' "${lines[@]}" >>"$work/report.jsonl"
printf '%s\n' "${lines[@]}" | awk -F '[:,]' '{n += $4; s += $6; f += $8}
  END {printf "%d executions in %.2f hours of one core, %d targets with a finding\n", n, s / 3600, f; exit f > 0}'
