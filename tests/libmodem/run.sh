#!/usr/bin/env bash
# Links a firmware with the real modem library, for each chip, and says what it takes. It is not run: that takes the chip.
#
# Needs libclang, arm-none-eabi-gcc with newlib, and rustup's llvm-tools: `tests/ci.sh modem` installs them.
set -euo pipefail

from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")"
pin=$(sed -n 's/^pin=//p' ../size/run.sh)
target_dir=${CARGO_TARGET_DIR:-$(cd ../.. && pwd)/target}
case $target_dir in /*) ;; *) target_dir=$from/$target_dir ;; esac
target_dir=$target_dir/libmodem
# They would replace the flags of .cargo/config.toml.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS CARGO_BUILD_TARGET CARGO_TARGET_THUMBV8M_MAIN_NONE_EABIHF_RUSTFLAGS WITHOUT_WRAP
[ "$(rustc --version | cut -d' ' -f2)" = "$pin" ] || export RUSTUP_TOOLCHAIN=$pin

build=(cargo build --quiet --release --target-dir "$target_dir")
[ "${CI-}" != true ] || build+=(--locked)

# All of the library's that the port calls, as its source has it.
mapfile -t called < <(grep -oh 'sys::nrf_modem_[a-z_]*(' ../../backends/nrf-modem/src/libmodem/*.rs | tr -d '(' | sed 's/^sys:://' | sort -u)
if [ "${#called[@]}" -lt 19 ]; then
  echo "found only ${#called[@]} calls of the modem library in the port: ${called[*]-}" >&2
  exit 1
fi
# What the connections and sockets of a download need of it.
called+=(nrf_getaddrinfo nrf_socket nrf_setsockopt nrf_connect nrf_send nrf_recv nrf_close)

failed=0
for chip in nrf9160 nrf9120; do
  "${build[@]}" --features "$chip"
  elf=$target_dir/thumbv8m.main-none-eabihf/release/dfu-libmodem
  symbols=$(arm-none-eabi-nm --print-size --radix=d "$elf")
  echo "$chip"
  for name in "${called[@]}" nrf_modem_init nrf_modem_os_sleep __wrap_nrf_modem_init; do
    # Address, size, kind, name.
    if ! awk -v name="$name" '$4 == name && $3 ~ /[Tt]/ {printf "  %-34s %5d\n", name, $2; found = 1} END {exit !found}' <<<"$symbols"; then
      echo "  $name is not in the program" >&2
      failed=1
    fi
  done
  # That nrf-modem calls what stands before the start of the modem.
  if ! arm-none-eabi-readelf --relocs --wide "$elf" | grep 'R_ARM_THM_\(CALL\|JUMP24\) .* __wrap_nrf_modem_init$' >/dev/null; then
    echo '  nothing calls __wrap_nrf_modem_init' >&2
    failed=1
  fi
  arm-none-eabi-size "$elf" | awk 'NR == 2 {printf "  text %d, data %d, bss %d\n\n", $1, $2, $3}'
done

# A firmware that does not tell the linker is to hear of it.
if WITHOUT_WRAP=1 "${build[@]}" --features nrf9160 2>"$target_dir/without-wrap"; then
  echo 'it links without --wrap=nrf_modem_init, where libmodem::start is of no effect' >&2
  failed=1
elif ! grep __real_nrf_modem_init "$target_dir/without-wrap" >/dev/null; then
  cat "$target_dir/without-wrap" >&2
  failed=1
else
  echo 'without --wrap=nrf_modem_init it does not link'
fi
exit $failed
