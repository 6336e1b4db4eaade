#!/usr/bin/env bash
# Builds the firmwares of the nRF9160 DK with the real modem library, and looks whether MCUboot would take them. They
# are not run: that takes the board. What they take is told by tests/size/examples.sh.
#
# Needs libclang, arm-none-eabi-gcc with newlib, rustup's llvm-tools, and imgtool: `tests/ci.sh nrf9160` installs them.
set -euo pipefail

from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")"
root=$(cd ../.. && pwd)
pin=$(sed -n 's/^pin=//p' "$root/tests/size/run.sh")
target_dir=${CARGO_TARGET_DIR:-$root/target}
case $target_dir in /*) ;; *) target_dir=$from/$target_dir ;; esac
# They would replace the flags of .cargo/config.toml, and what the environment tells the firmwares.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS CARGO_BUILD_TARGET CARGO_TARGET_THUMBV8M_MAIN_NONE_EABIHF_RUSTFLAGS
unset FOTA_NAME FOTA_URL FOTA_TAG FOTA_CA FOTA_BASE DEFMT_LOG
[ "$(rustc --version | cut -d' ' -f2)" = "$pin" ] || export RUSTUP_TOOLCHAIN=$pin
locked=()
[ "${CI-}" != true ] || locked=(--locked)

bins=(mcuboot-http modem-delta modem-full fota-any)
key=$root/tests/fixtures/keys/test-only-ecdsa-p256
out=$target_dir/nrf9160/thumbv8m.main-none-eabihf/release
# From elsewhere, or it would be built for the chip.
host() { (cd "$root" && cargo run --quiet "${locked[@]}" --target-dir "$target_dir" -p dfu-host -- "$@"); }
fail() { echo "$*" >&2; exit 1; }

cargo fmt -- --check --color never
at=(--release "${locked[@]}" --target-dir "$target_dir/nrf9160")
cargo clippy --quiet "${at[@]}" -- -D warnings
cargo build --quiet "${at[@]}"

# --- where things lie ---------------------------------------------------------------------------------------------

# The bootloader's rules, and the numbers that the rest is held against.
host layout examples/nrf9160/layout.toml --mode move >"$target_dir/nrf9160/layout.txt" || { cat "$target_dir/nrf9160/layout.txt"; exit 1; }
number() { awk -v name="$1" -v column="$2" '$1 == name {gsub(",", "", $column); print $column}' "$target_dir/nrf9160/layout.txt"; }
slot=$(number mcuboot_primary 3) slot_size=$(number mcuboot_primary 5) largest=$(number move 2)
[ "$largest" -gt 0 ] || fail 'dfu-host layout says nothing of the largest image'
echo "slot at $slot, $slot_size bytes, for images of up to $largest"

for bin in "${bins[@]}"; do
  elf=$out/$bin
  vectors=$(arm-none-eabi-readelf --sections --wide "$elf" | sed -nE 's/.* \.vector_table +PROGBITS +([0-9a-f]+).*/\1/p')
  [ $((16#$vectors)) = $((slot + 0x200)) ] || fail "$bin: the vector table is at 0x$vectors, not behind the header of the image"
  arm-none-eabi-objcopy --output-target binary "$elf" "$elf.bin"
  # The first two words: the stack, which begins in RAM, and the first instruction, which is in the slot.
  read -r stack reset < <(od --address-radix=n --format=u4 --read-bytes=8 "$elf.bin")
  { [ "$stack" -gt $((0x20006000)) ] && [ "$stack" -le $((0x20040000)) ]; } || fail "$bin: the stack begins at $stack"
  { [ "$reset" -gt $((slot)) ] && [ "$reset" -lt $((slot + slot_size)) ]; } || fail "$bin: the program begins at $reset"
  symbols=$(arm-none-eabi-nm "$elf")
  # The modem's interrupt, the 42nd of the chip's, has its handler; and its start is stood before.
  handler=$(awk '$3 == "IPC" {print $1}' <<<"$symbols")
  vector=$(od --address-radix=n --format=u4 --skip-bytes=$((4 * (16 + 42))) --read-bytes=4 "$elf.bin")
  [ "$vector" -eq $((16#$handler + 1)) ] || fail "$bin: the modem interrupts without a handler"
  grep -q ' T __wrap_nrf_modem_init$' <<<"$symbols" || fail "$bin: __wrap_nrf_modem_init is not in the program"
  # The limit of the stack is set at the reset, before anything is called.
  arm-none-eabi-objdump --disassemble=Reset "$elf" | awk '/msr\tMSPLIM/ {found = 1} /\tblx?\t/ {exit} END {exit !found}' ||
    fail "$bin: the stack has no limit"
  # What the modem shares is nobody else's.
  shared=$(awk '$2 ~ /[bBdD]/ && $1 >= "20000000" && $1 < "20006000"' <<<"$symbols")
  [ -z "$shared" ] || fail "$bin: in the memory of the modem: $shared"
done
echo 'vector tables, stacks and the memory of the modem are where they should be'

# --- as MCUboot sees it -------------------------------------------------------------------------------------------

signed=$target_dir/nrf9160/signed
mkdir -p "$signed"
export FOTA_KEY=$key.pem
for version in 1.0.0 2.0.0; do
  ./sign.sh "$out/mcuboot-http" "$version" "$signed/$version.bin" 2>&1 | sed '/^image.py: /d'
done
inspected=$(host inspect "$signed/2.0.0.bin" --key "$key.pub.der")
grep -q 'hash  SHA-256, right' <<<"$inspected" || fail "$inspected"
grep -q 'signature  ECDSA P-256, right, by this key' <<<"$inspected" || fail "$inspected"
echo "$inspected" | sed -n '/version\|sizes\|hash\|signature/p'
[ "$(wc -c <"$signed/2.0.0.bin")" -le "$largest" ] || fail 'the image is larger than MCUboot swaps'
# The library that is in the firmware, at work on a PC: the second release is staged beside the first.
rm -f "$signed/primary.bin" "$signed/secondary.bin"
cp "$signed/1.0.0.bin" "$signed/primary.bin"
host stage --image "$signed/2.0.0.bin" --primary "$signed/primary.bin" --secondary "$signed/secondary.bin" --mode move \
  --slot-size "$slot_size" --sector 4096 --write-size 4 --key "$key.pub.der" | sed -n '/staged/p'

# What `cargo run` asks of the probe, by a stand-in.
printf '#!/bin/sh\necho probe-rs "$@"\n' >"$signed/probe-rs"
chmod +x "$signed/probe-rs"
asked=$(PATH=$signed:$PATH FOTA_NAME=1.2.3 cargo run --quiet "${at[@]}" --bin mcuboot-http 2>/dev/null)
grep -q "^probe-rs download .* --base-address $slot .*/mcuboot-http.signed$" <<<"$asked" || fail "$asked"
grep -q '^probe-rs attach .*/mcuboot-http$' <<<"$asked" || fail "$asked"
inspected=$(host inspect "$out/mcuboot-http.signed")
grep -q 'version  1.2.3+0$' <<<"$inspected" || fail 'cargo run signs it with another version'
