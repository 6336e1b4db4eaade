#!/usr/bin/env bash
# What the firmwares of the examples take on their Cortex-M33, in bytes: all of it, and how much of that is the library
# and the program, by crates.py. The table that it prints is kept in tests/README.md: what grew by more than 3 % fails
# until that table is changed with it.
#
#   tests/size/examples.sh FOLDER..    of examples/
#
# Built as and where the example's own run.sh builds it, so that nothing is built twice.
set -euo pipefail
# shellcheck source=tests/size/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
unset FOTA_NAME FOTA_URL FOTA_TAG FOTA_CA FOTA_BASE DEFMT_LOG
locked=()
[ "${CI-}" != true ] || locked=(--locked)

printf '%-22s %17s %17s %17s %17s  %s\n' '' 'our code, table' 'our RAM, table' 'all flash, table' 'all RAM, table' \
  'code and RAM of the modem library; of executor, HAL and network stack'
for folder; do
  case $folder in
    qemu-m33) to=chip firmwares='mcuboot-http blocking' ;;
    nrf9160) to=nrf9160 firmwares='mcuboot-http modem-delta modem-full fota-any' ;;
    *) echo "no such example: $folder" >&2; exit 2 ;;
  esac
  to=${target_dir%/size}/$to
  (cd "$root/examples/$folder" && cargo build --quiet --release "${locked[@]}" --target-dir "$to" --bins)
  library=$(find "$to" -path '*nrfxlib-sys*' -name libmodem.a -print -quit)
  for firmware in $firmwares; do
    name=$folder/$firmware verdicts=
    read -r flash ram code statics others < <(python3 crates.py "$to/$target/release/$firmware" ${library:+"$library"})
    printf '%-22s' "$name"
    # By the columns of the table, of which the fourth is the aim.
    for of in "3 $code" "5 $statics" "6 $flash" "7 $ram"; do
      judge "$name" "${of#* }" "${of% *}" || failed=1
      printf ' %8d %8s' "${of#* }" "$committed"
      verdicts+=$verdict
    done
    echo "  $others$verdicts"
  done
done
exit "$failed"
