#!/usr/bin/env bash
# Runs a firmware on QEMU: qemu.sh ELF [ARGUMENT...]. Standard output is the firmware's, the exit status too.
#
# FLASH is the file that holds the flash, made by run.sh; without it the flash is forgotten. QEMU has more options.
set -euo pipefail

elf=$1
shift
semihosting=enable=on,target=native,arg=$(basename "$elf")
for argument; do
  semihosting+=,arg=$argument
done
flash=()
if [ -n "${FLASH-}" ]; then
  flash=(-object "memory-backend-file,id=flash,size=16M,mem-path=$FLASH,share=on" -machine memory-backend=flash)
fi
read -ra more <<<"${QEMU-}"
exec qemu-system-arm -machine mps2-an505 -cpu cortex-m33 "${flash[@]}" -display none -monitor none -serial none \
  -nic user "${more[@]}" -semihosting-config "$semihosting" -kernel "$elf" </dev/null
