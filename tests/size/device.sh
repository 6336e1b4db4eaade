#!/usr/bin/env bash
# Stack and instructions of each signature scheme on a Cortex-M33, simulated by QEMU; and that the code for the device,
# some of which no test on the host runs, takes what imgtool signed and nothing else.
set -euo pipefail
# shellcheck source=tests/size/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

build . --bin device
echo "rustc $pin, opt-level s, lto fat; bytes of stack below the call; QEMU counts instructions, not cycles"
# An instruction takes 2^6 ns of the simulated time, which device reads.
timeout 120 qemu-system-arm -cpu cortex-m33 -machine mps2-an505 -display none -monitor none -serial none \
  -icount shift=6,sleep=off -semihosting-config enable=on,target=native -kernel "$elves/device" 2>&1
