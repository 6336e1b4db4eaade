#!/usr/bin/env bash
# Runs the fuzz targets, one after the other, on one core:
#
#   tests/fuzz/run.sh [executions | seconds 's'] [target...]     e.g. 200000, or 60s state trailer
#
# Each is run so often or so long; `signature`, which takes its time, a tenth as often. The inputs that were found
# are kept in the target directory and are where the next run begins, together with the seeds in corpus/, which
# `cargo run --example seeds` writes. SEED=n for other random numbers.
#
# Needs: rustup toolchain install nightly; cargo install --locked cargo-fuzz
set -euo pipefail

if ! cargo +nightly fuzz --version >/dev/null 2>&1; then
  echo "needed: rustup toolchain install nightly; cargo install --locked cargo-fuzz" >&2
  exit 1
fi

amount=${1:-200000}
[ $# = 0 ] || shift
targets=("$@")
[ $# -gt 0 ] || targets=(image trailer state signature wrapper http coap coap_tcp)

from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")"
target_dir=${CARGO_TARGET_DIR:-$(cd ../.. && pwd)/target}
case $target_dir in /*) ;; *) target_dir=$from/$target_dir ;; esac
work=$target_dir/fuzz
export CARGO_TARGET_DIR=$work
# They would replace those of cargo-fuzz.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS CARGO_BUILD_TARGET
host=$(rustc -vV | sed -n 's/^host: //p')

# The library has no unsafe code: what the address sanitizer would find there is a panic anyway.
cargo +nightly fuzz build --fuzz-dir . --sanitizer none --target "$host" 2>"$work.log" || {
  cat "$work.log" >&2
  exit 1
}

failed=() total=0
printf '%-10s %12s %8s %8s %9s\n' target executions exec/s inputs features
for name in "${targets[@]}"; do
  found=$work/corpus/$name
  mkdir -p "$found" "$work/findings"
  case $amount in
    *s) limit=(-max_total_time="${amount%s}") ;;
    *) if [ "$name" = signature ]; then limit=(-runs=$((amount / 10))); else limit=(-runs="$amount"); fi ;;
  esac
  log=$work/$name.log
  if ! nice "$work/$host/release/$name" "${limit[@]}" -seed="${SEED:-1}" -max_len=900 -timeout=10 -print_final_stats=1 \
    -artifact_prefix="$work/findings/$name-" "$found" "corpus/$name" >"$log" 2>&1; then
    failed+=("$name")
    grep -v '^#[0-9]' "$log" | grep -A12 -m1 -E 'panicked|ERROR' >&2 || tail -n 20 "$log" >&2
    sed -n 's/.*Test unit written to /kept in /p' "$log" >&2
  fi
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
  features=$(sed -n 's/^#[0-9]*[^0-9]*DONE.* ft: \([0-9]*\) .*/\1/p' "$log")
  total=$((total + ${runs:-0}))
  printf '%-10s %12d %8d %8d %9d\n' "$name" "${runs:-0}" "${rate:-0}" "$(find "$found" -type f | wc -l)" "${features:-0}"
done
echo "$total executions, ${#failed[@]} targets with a finding"
[ "${#failed[@]}" = 0 ]
