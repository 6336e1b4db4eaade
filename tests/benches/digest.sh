#!/usr/bin/env bash
# How much `digest` of an MCUboot target takes beyond the SHA-256 that it is made of, for an image of 512 KiB: in
# instructions, which are the same in each run, with valgrind. More than a tenth fails. Valgrind shows the program a
# processor without instructions for SHA-256, as most microcontrollers are. Then the times on this machine, which may
# have them; those depend on what else runs, so they only inform.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
limit=1.10

program=$(cargo bench --quiet -p dfu-testkit --bench digest --no-run --message-format json |
  sed -n '/"name":"digest"/s/.*"executable":"\([^"]*\)".*/\1/p')

# count WHAT BUFFER: of the second and third time, without what comes before the first.
count() {
  local times counts=()
  for times in 1 3; do
    counts+=("$(valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" "$2" "$times" 2>&1 |
      sed -n 's/.*Collected : //p')")
  done
  echo $(((counts[1] - counts[0]) / 2))
}

failed=0
printf '%-7s %12s %12s %7s\n' buffer engine digest ratio
for buffer in 256 4096; do
  engine=$(count engine "$buffer")
  digest=$(count target "$buffer")
  ratio=$(awk -v a="$digest" -v b="$engine" 'BEGIN {printf "%.3f", a / b}')
  printf '%-7d %12d %12d %7s\n' "$buffer" "$engine" "$digest" "$ratio"
  awk -v r="$ratio" -v l="$limit" 'BEGIN {exit !(r > 1 && r <= l)}' || failed=1
done
"$program"
[ "$failed" = 0 ] || echo "digest takes more than $limit times what its SHA-256 takes, or nothing was measured" >&2
exit "$failed"
