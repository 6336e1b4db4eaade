#!/usr/bin/env bash
# How many instructions an image takes on its way into flash on a Cortex-M33, simulated by QEMU: by a session with the
# MCUboot target, and by embassy-boot in the same run. What is measured is the same in each run. The session's figures
# are those of tests/README.md, or less than 3 % more.
set -euo pipefail
# shellcheck source=tests/size/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

build . --features speed --bin speed
echo "rustc $pin, opt-level s, lto fat; an image of 128 KiB into memory; QEMU counts instructions, not cycles"
# An instruction takes 2^6 ns of the simulated time, which the program reads.
status=0
lines=$(timeout 120 qemu-system-arm -cpu cortex-m33 -machine mps2-an505 -display none -monitor none -serial none \
  -icount shift=6,sleep=off -semihosting-config enable=on,target=native -kernel "$elves/speed" 2>&1) || status=$?
printf '%s\n' "$lines"
if [ "$status" != 0 ]; then
  echo "it ended with status $status: an image was not what it should be, or nothing was measured" >&2
  exit 1
fi

printf '\n%-24s %6s %9s %9s %6s\n' 'instructions per KiB' chunk over table aim
while read -r row chunk _ over; do
  judge "$row $chunk" "$over" || failed=1
  printf '%-24s %6d %9d %9s %6s%s\n' "$row" "$chunk" "$over" "$committed" "$aim" "$verdict"
done < <(awk '$1 ~ /^(session|session\+log|session\+recall|finish)$/' <<<"$lines")
exit "$failed"
