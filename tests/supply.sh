#!/usr/bin/env bash
# What all this is built on, for each workspace of the repository:
#
#   tests/supply.sh
#
# Its lock file is committed and current. Licences, sources and crates that come in two versions are as deny.toml has
# them. Nothing in it has a known hole or was withdrawn, where the database of advisories can be had. And the build scripts
# of ours are those that are listed here: none is in a package that others build.
#
# Needs: cargo install --locked cargo-deny; python3
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Folder and build dependencies. They write or name linker scripts, and read files and variables of their own package.
scripts='examples/nrf9160 toml
examples/qemu-m33
tests/libmodem
tests/size'

checks=(licenses bans sources)
if fetched=$(timeout 120 cargo deny --color never fetch db 2>&1); then
  checks+=(advisories)
else
  echo "$fetched"
  echo 'LEFT OUT: advisories, of which the database cannot be had here'
fi

# own_scripts: of the packages in `cargo metadata` that are ours, those with a build script, and what that depends on.
own_scripts() {
  python3 -c '
import json, os, sys
for package in json.load(sys.stdin)["packages"]:
    if package["source"] is None and any("custom-build" in target["kind"] for target in package["targets"]):
        needs = [needed["name"] for needed in package["dependencies"] if needed["kind"] == "build"]
        print(" ".join([os.path.relpath(os.path.dirname(package["manifest_path"])), *needs]))'
}

found=$(mktemp)
trap 'rm -f "$found"' EXIT
git grep -l '^\[workspace\]' -- '*Cargo.toml' | while read -r manifest; do
  echo "+ $manifest"
  git ls-files --error-unmatch "${manifest%.toml}.lock" >/dev/null
  packages=$(cargo metadata --quiet --locked --format-version 1 --manifest-path "$manifest")
  own_scripts <<<"$packages" >>"$found"
  cargo deny --color never --locked --manifest-path "$manifest" --config deny.toml check --hide-inclusion-graph \
    -A license-not-encountered -A license-exception-not-encountered -A unnecessary-skip -A unmatched-skip -A unmatched-skip-root \
    "${checks[@]}"
done

if ! diff -u --label 'build scripts that are known' --label 'and that are here' <(echo "$scripts") <(sort -u "$found"); then
  echo 'a build script of ours is new, or depends on something new: list it in tests/supply.sh if it reaches out for nothing' >&2
  exit 1
fi
echo "$(sort -u "$found" | wc -l) build scripts of ours, as listed"
