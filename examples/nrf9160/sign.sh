#!/usr/bin/env bash
# Makes of a firmware what MCUboot takes:
#
#   sign.sh ELF VERSION IMAGE
#
# By the key whose PEM file FOTA_KEY names; without, by that of the tests, which everybody has.
set -euo pipefail
[ $# = 3 ] || { sed -n '2,6s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }
here=$(dirname "${BASH_SOURCE[0]}")
size=$(sed -n '/^name = "mcuboot_primary"/,/^$/s/^size = //p' "$here/layout.toml")
raw=$(mktemp)
trap 'rm -f "$raw"' EXIT
arm-none-eabi-objcopy --output-target binary "$1" "$raw"
# imgtool leaves room for the header, which the linker's script has left before the program.
imgtool sign --key "${FOTA_KEY:-$here/../../tests/fixtures/keys/test-only-ecdsa-p256.pem}" --header-size 0x200 --pad-header \
  --align 4 --slot-size "$size" --version "$2" "$raw" "$3"
