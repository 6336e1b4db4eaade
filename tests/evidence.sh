#!/usr/bin/env bash
# What was tried of this commit, and what came of it, in one file for a release: evidence.txt and evidence.json in the
# target directory.
#
#   tests/evidence.sh              from what `tests/ci.sh` printed when it last ran
#   tests/evidence.sh --run        runs first what was not run for this commit
#
# What was run for another commit, or never, is said to be missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=${CARGO_TARGET_DIR:-target}
jobs=(readme sweep beside no-panic size chip miri fuzz coverage mutants)

if [ "${1-}" = --run ]; then
  here=$(git describe --always --dirty --abbrev=40)
  for job in "${jobs[@]}"; do
    [ "$(sed -n '1s/^commit //p' "$target/ci-logs/$job" 2>/dev/null)" = "$here" ] || tests/ci.sh "$job" || true
  done
elif [ $# != 0 ]; then
  sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
  exit 2
fi
python3 tests/evidence.py "$target" "${jobs[@]}"
