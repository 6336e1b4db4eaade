#!/usr/bin/env bash
# Changes one thing of `dfu-target` and of the MCUboot target at a time, and sees whether a test fails; what is changed,
# and which tests are run, is in .cargo/mutants.toml. Prints the share that was noticed, and what was not.
#
#   tests/mutants.sh                all of it: hours
#   tests/mutants.sh 3/40           every fortieth, from the third on: what was tried before stays in the sum
#   tests/mutants.sh --in-diff FILE what a change touches; other options of `cargo mutants` likewise
#
# Survivors that cannot be noticed, because what the program does is the same, are in tests/mutants.txt with the reason.
#
# Needs: cargo install --locked cargo-mutants
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
least=95

out=${CARGO_TARGET_DIR:-$PWD/target}/mutants
mkdir -p "$out"
commit=$(git rev-parse HEAD 2>/dev/null || echo unknown)
if [ "$(cat "$out/commit" 2>/dev/null)" != "$commit" ]; then
  rm -f "$out"/results
  echo "$commit" >"$out/commit"
fi
case ${1-} in
  */*) options=(--sharding round-robin --shard "$1") ;;
  *) options=("$@") ;;
esac

# Without debug information, which nobody reads here, it takes half the time.
export CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_TEST_DEBUG=0
# A change may make a test collect without end.
ulimit -v 8388608
status=0
cargo mutants -p dfu-target -p dfu-target-mcuboot --baseline skip --timeout 120 --colors never -o "$out" \
  "${options[@]}" || status=$?
# 2: some survived; 3: some took too long. All else is a fault.
case $status in 0 | 2 | 3) ;; *) exit "$status" ;; esac
for outcome in caught timeout missed unviable; do
  sed "s/^/$outcome /" "$out/mutants.out/$outcome.txt"
done >>"$out/results"
# Of what was tried twice, the last outcome counts.
awk '{outcome = $1; sub(/^[a-z]+ /, ""); last[$0] = outcome} END {for (one in last) print last[one], one}' \
  "$out/results" | sort >"$out/sum"
mv "$out/sum" "$out/results"

count() { grep -c "^$1 " "$out/results" || true; }
known=$(grep -v '^#' tests/mutants.txt | sed 's/ | [^|]*$//' | sed '/^$/d')
survivors=$(sed -n 's/^missed //p' "$out/results" | sed -E 's/:[0-9]+:[0-9]+: /: /')
surprising=$(grep -vxF -f <(printf '%s\n' "$known") <<<"$survivors" || true)
caught=$(($(count caught) + $(count timeout)))
missed=$(grep -c . <<<"$surprising" || true)
equal=$(($(count missed) - missed))
if [ $((caught + missed)) = 0 ]; then
  echo 'nothing was changed' >&2
  exit 1
fi
score=$(awk -v c="$caught" -v m="$missed" 'BEGIN {printf "%.1f", 100 * c / (c + m)}')
[ -z "$surprising" ] || printf '\nnot noticed:\n%s\n' "$surprising"
printf '\nmutants: %d noticed, %d not, %d that change nothing, %d that do not compile: %s %% of what counts\n' \
  "$caught" "$missed" "$equal" "$(count unviable)" "$score"
awk -v s="$score" -v l="$least" 'BEGIN {exit !(s >= l)}'
