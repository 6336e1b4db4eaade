#!/usr/bin/env bash
# What `cargo run` does with a firmware: signs it (see sign.sh; FOTA_NAME is its version), puts it where MCUboot starts
# it from, and shows its log.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
chip=(--chip nRF9160_xxAA)
slot=$(sed -n '/^name = "mcuboot_primary"/,/^$/s/^offset = //p' "$here/layout.toml")
"$here/sign.sh" "$1" "${FOTA_NAME:-0.0.0}" "$1.signed"
probe-rs download "${chip[@]}" --binary-format bin --base-address "$slot" "$1.signed"
probe-rs reset "${chip[@]}"
exec probe-rs attach "${chip[@]}" "$1"
