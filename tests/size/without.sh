#!/usr/bin/env bash
# What parts of the MCUboot target cost in `writer`, of which the table of tests/README.md says why it is above its aim:
# each part is taken out of a copy by a patch, which no device should be given, then all of them.
set -euo pipefail
# shellcheck source=tests/size/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

patches=$PWD/without
copy=$target_dir/without
rm -rf "$copy"
mkdir -p "$copy"
(cd "$root" && git ls-files -z | xargs -0 cp --parents -t "$copy")
cd "$copy/tests/size"
flags="'--remap-path-prefix=$copy/='"

# net: what `writer` takes beyond `baseline`, without memcpy and its like.
net() {
  local flash0 mem0 flash mem _
  build without-build --bin baseline --bin writer 2>&1 | grep -E '^error' && return 1
  elves=$target_dir/without-build/$target/release
  read -r flash0 _ mem0 < <(python3 elf.py size "$elves/baseline")
  read -r flash _ mem < <(python3 elf.py size "$elves/writer")
  echo $((flash - flash0 - (mem - mem0)))
}
apply() { patch --quiet --strip 1 --directory "$copy" "$@"; }

whole=$(net)
printf '%-10s %6d\n' writer "$whole"
for patch in "$patches"/*.patch; do
  apply <"$patch"
  less=$(net)
  printf '%-10s %6d\n' "$(basename "$patch" .patch)" $((whole - less))
  apply --reverse <"$patch"
done
for patch in "$patches"/*.patch; do apply --no-backup-if-mismatch <"$patch"; done
printf '%-10s %6d\n' 'all' $((whole - $(net)))
