#!/usr/bin/env bash
# What the library costs on a Cortex-M33, in bytes. The table that it prints is kept in tests/README.md: what grew by
# more than 3 % fails until that table is changed with it.
#
# Each of the programs below is linked by itself. Its cost is what it has more than `baseline`, without memcpy and its
# like, which any firmware has anyway; that is also how the peers' figures were made.
set -euo pipefail

programs='writer writer-awaits session recall http fota coap coap-source http-source coap-tcp-source fota-remote modem-delta modem-settle modem-full'
# By hand, what the first two aims were set for, and less.
programs+=' least-writer least-http'
# Each by itself; RSA without the SHA-256 engine, which the target has anyway.
signatures='sig-p256 sig-ed25519 sig-ed25519-pure sig-rsa2048 sig-rsa3072'
pin=1.95.0
# shellcheck source=tests/size/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

build .
read -r flash0 ram0 mem0 < <(python3 elf.py size "$elves/baseline")
echo "rustc $pin, opt-level s, lto fat, panic abort; bytes"
printf '%-16s %13s %11s %10s %8s %6s %6s %6s\n' program .text+.rodata .data+.bss 'over base' memcpy.. net table aim
printf '%-16s %13d %11d\n' baseline "$flash0" "$ram0"
for program in $programs $signatures; do
  read -r flash ram mem < <(python3 elf.py size "$elves/$program")
  net=$((flash - flash0 - (mem - mem0)))
  judge "$program" "$net" || failed=1
  if [ $((mem - mem0)) -gt 700 ] && [[ $program != sig* ]]; then
    # A copy whose ends the compiler cannot tell apart: 1.6 KB that nobody asked for.
    verdict+='  HAS MEMMOVE'
    failed=1
  fi
  printf '%-16s %13d %11d %10d %8d %6d %6s %6s%s\n' \
    "$program" "$flash" "$ram" $((flash - flash0)) $((mem - mem0)) "$net" "$committed" "$aim" "$verdict"
done

# What all state takes, and the largest future beside it: the caller's buffers come on top.
sizes=$(python3 elf.py answers "$elves/ram" ram_ | sed 's/^ram_//')
printf '\n%s\n' 'RAM of state and futures, without the buffers of the caller; bytes'
awk '{sub("_", " "); printf "%-10s %-9s %5d\n", $1, $2, $3}' <<<"$sizes"
printf '\n%-28s %6s %6s %6s\n' together ram table aim
while read -r bytes what; do
  judge "$what" "$bytes" || failed=1
  if [ "$aim" != - ] && [ "$bytes" -gt "$aim" ]; then
    verdict+='  OVER ITS AIM'
    failed=1
  fi
  printf '%-28s %6d %6s %6s%s\n' "$what" "$bytes" "$committed" "$aim" "$verdict"
done < <(awk '
  {split($1, part, "_")}
  part[1] == "state" {state += $2}
  part[1] == "future" && $2 > future {future = $2}
  part[1] ~ /^(http|coap|coaptcp)$/ {with[part[1]] += $2}
  part[1] ~ /^(state|rules)$/ && part[2] == "target" && $2 > target {target = $2}
  part[1] ~ /^(delta|full)$/ && part[2] == "target" {modem[part[1]] = $2}
  part[1] ~ /^(delta|full)$/ && part[2] != "target" && $2 > waits[part[1]] {waits[part[1]] = $2}
  END {
    print state + future, "RAM of an update"
    print state + with["http"], "RAM with HTTP"
    print state + with["coap"], "RAM with CoAP"
    print state + with["coaptcp"], "RAM with CoAP over TCP"
    print target, "RAM of a target with rules"
    print modem["delta"] + waits["delta"], "RAM of a modem delta"
    print modem["full"] + waits["full"], "RAM of a full modem update"
  }' <<<"$sizes")
exit "$failed"
