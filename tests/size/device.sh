#!/usr/bin/env bash
# Stack and instructions of each signature scheme on a Cortex-M33, simulated by QEMU; and that the code for the device,
# some of which no test on the host runs, takes what imgtool signed and nothing else.
set -euo pipefail

pin=$(sed -n 's/^pin=//p' "$(dirname "${BASH_SOURCE[0]}")/run.sh")
from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")"
target_dir=${CARGO_TARGET_DIR:-$(cd ../.. && pwd)/target}
case $target_dir in /*) ;; *) target_dir=$from/$target_dir ;; esac
target_dir=$target_dir/size
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS CARGO_BUILD_TARGET CARGO_TARGET_THUMBV8M_MAIN_NONE_EABIHF_RUSTFLAGS
[ "$(rustc --version | cut -d' ' -f2)" = "$pin" ] || export RUSTUP_TOOLCHAIN=$pin

cargo build --quiet --release --target-dir "$target_dir" --bin device
echo "rustc $pin, opt-level s, lto fat; bytes of stack below the call; QEMU counts instructions, not cycles"
# An instruction takes 2^6 ns of the simulated time, which device reads.
timeout 120 qemu-system-arm -cpu cortex-m33 -machine mps2-an505 -display none -monitor none -serial none \
  -icount shift=6,sleep=off -semihosting-config enable=on,target=native \
  -kernel "$target_dir/thumbv8m.main-none-eabihf/release/device" 2>&1
