#!/usr/bin/env bash
# What the library costs on a Cortex-M33, in bytes, and that no call of it can panic.
#
# Each program in src/bin is linked by itself, all but `device`, which device.sh runs. Its cost is what it has more than `baseline`, without memcpy and its
# like, which any firmware has anyway; that is also how the peers' figures were made.
set -euo pipefail

# What each program may cost: more fails, so that growth is a decision. Then the aim.
limits='
writer   4860  2600
session  8060  8192
http    16500 12288
fota    21200 14336
coap    16640 12288
coap-source  7340  6144
http-source  7100  5120
coap-tcp-source 6960 6144
fota-remote 34660 14336
modem-delta  3260  3072
modem-settle 4000  4000
modem-full   9200  6144
'
# The signature schemes, likewise. The crates that most of them are made with contain panics which no input reaches
# but the linker cannot see that; those without such a crate are held to the rule.
signatures='
sig-p256         17408
sig-ed25519      10752
sig-ed25519-pure 10752
sig-rsa2048       1536
sig-rsa3072       1536
'
strict='sig-rsa2048 sig-rsa3072'
# Panics that are known and that no input reaches: an `unreachable!` in httparse's search by words, which is inlined
# where it is called.
known='fota_download::http::response::Head::parse -> core::panicking::panic -> core::panicking::panic_fmt'
# Sizes and what the optimizer can prove both depend on the compiler.
pin=1.95.0

from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")"
target_dir=${CARGO_TARGET_DIR:-$(cd ../.. && pwd)/target}
case $target_dir in /*) ;; *) target_dir=$from/$target_dir ;; esac
target_dir=$target_dir/size
elves=$target_dir/thumbv8m.main-none-eabihf/release
# They would replace the flags of .cargo/config.toml.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS CARGO_BUILD_TARGET CARGO_TARGET_THUMBV8M_MAIN_NONE_EABIHF_RUSTFLAGS

[ "$(rustc --version | cut -d' ' -f2)" = "$pin" ] || export RUSTUP_TOOLCHAIN=$pin
if ! rustc --print target-libdir --target thumbv8m.main-none-eabihf 2>/dev/null | xargs -r test -d; then
  echo "needed: rustup toolchain install $pin --profile minimal --target thumbv8m.main-none-eabihf" >&2
  exit 1
fi

programs=$(awk 'NF {print $1}' <<<"$limits")
failed=0
# Panics say in which file they are: the place of the checkout is to change no figure.
root=$(cd ../.. && pwd)
build=(cargo build --quiet --release --target-dir "$target_dir"
  --config "target.thumbv8m.main-none-eabihf.rustflags = ['--remap-path-prefix=$root/=']")

"${build[@]}"
read -r flash0 ram0 mem0 < <(python3 elf.py size "$elves/baseline")
echo "rustc $pin, opt-level s, lto fat, panic abort; bytes"
printf '%-15s %13s %11s %10s %8s %6s %6s %6s\n' program .text+.rodata .data+.bss 'over base' memcpy.. net limit aim
printf '%-15s %13d %11d\n' baseline "$flash0" "$ram0"
for program in $programs; do
  read -r limit aim < <(awk -v p="$program" '$1 == p {print $2, $3}' <<<"$limits")
  read -r flash ram mem < <(python3 elf.py size "$elves/$program")
  net=$((flash - flash0 - (mem - mem0)))
  verdict=
  if [ "$net" -gt "$limit" ]; then
    verdict='  OVER'
    failed=1
  elif [ $((mem - mem0)) -gt 700 ]; then
    # A copy whose ends the compiler cannot tell apart: 1.6 KB that nobody asked for.
    verdict='  HAS MEMMOVE'
    failed=1
  elif [ "$net" -le 0 ]; then
    verdict='  MEASURES NOTHING'
    failed=1
  fi
  printf '%-15s %13d %11d %10d %8d %6d %6d %6d%s\n' \
    "$program" "$flash" "$ram" $((flash - flash0)) $((mem - mem0)) "$net" "$limit" "$aim" "$verdict"
done

printf '\nsignatures, each by itself; RSA without the SHA-256 engine, which the target has anyway\n'
printf '%-16s %13s %10s %8s %6s %6s\n' program .text+.rodata 'over base' memcpy.. net limit
while read -r program limit; do
  read -r flash ram mem < <(python3 elf.py size "$elves/$program")
  net=$((flash - flash0 - (mem - mem0)))
  verdict=
  if [ "$net" -gt "$limit" ]; then
    verdict='  OVER'
    failed=1
  elif [ "$net" -le 1000 ]; then
    verdict='  MEASURES NOTHING'
    failed=1
  fi
  printf '%-16s %13d %10d %8d %6d %6d%s\n' \
    "$program" "$flash" $((flash - flash0)) $((mem - mem0)) "$net" "$limit" "$verdict"
done < <(awk 'NF' <<<"$signatures")

# What all state takes, and the largest future beside it: the caller's buffers come on top.
ram_limit=1024
python3 elf.py answers "$elves/ram" ram_ | awk -v limit="$ram_limit" '
  BEGIN {print "\nRAM of state and futures, without the buffers of the caller"}
  {sub("ram_", "", $1); split($1, part, "_"); printf "%-10s %-9s %5d\n", part[1], part[2], $2}
  part[1] == "state" {state += $2}
  part[1] == "future" && $2 > future {future = $2}
  part[1] == "http" {http += $2}
  part[1] == "coap" {coap += $2}
  part[2] == "target" && part[1] !~ /delta|full/ && $2 > target {target = $2}
  part[1] ~ /delta|full/ && part[2] == "target" {modem[part[1]] = $2}
  part[1] ~ /delta|full/ && part[2] != "target" && $2 > waits[part[1]] {waits[part[1]] = $2}
  END {
    printf "%-20s %5d of %d\n", "together", state + future, limit
    printf "%-20s %5d\n", "with the download", state + http
    printf "%-20s %5d\n\n", "the same, CoAP", state + coap
    printf "%-20s %5d of 512\n\n", "largest target", target
    delta = modem["delta"] + waits["delta"]
    full = modem["full"] + waits["full"]
    printf "%-20s %5d of 512\n", "modem, delta", delta
    printf "%-20s %5d of 1536\n\n", "modem, full", full
    exit state + future > limit || target > 512 || !state || !future || !target || delta > 512 || full > 1536 || !delta || !full
  }' || failed=1

"${build[@]}" --features panics
# The check must find what is there, and let pass only what is allowed.
found=$(python3 elf.py panics "$elves/control" | sed 's/ ->.*//' | sort | xargs || true)
if [ "$found" != 'control::division control::explicit control::index control::slice' ] ||
  ! readelf -sW "$elves/control" | grep panic_const_async_fn_resumed >/dev/null; then
  echo "the panic check is blind: in control it found: ${found:-nothing}" >&2
  failed=1
fi
for program in baseline $programs $strict; do
  if ways=$(python3 elf.py panics "$elves/$program"); then
    echo "$program: cannot panic"
  elif [ "$ways" = "$known" ]; then
    echo "$program: cannot panic, but for what is known of httparse"
  else
    printf '%s: can panic:\n%s\n' "$program" "$ways" >&2
    failed=1
  fi
done
while read -r program _; do
  case " $strict " in *" $program "*) continue ;; esac
  ways=$(python3 elf.py panics "$elves/$program" || true)
  # In our own code there must be none.
  if own=$(grep '^<*dfu_' <<<"$ways"); then
    printf '%s: can panic:\n%s\n' "$program" "$own" >&2
    failed=1
  else
    echo "$program: not held to it: $(grep -c . <<<"$ways" || true) functions of its crates contain panics"
  fi
done < <(awk 'NF' <<<"$signatures")
exit $failed
