#!/usr/bin/env bash
# Which lines and regions of the library the tests run, by crate; fewer than 95 % of the lines of `dfu-target` or of a
# backend fail. The binding of the modem's library is for the chip alone and not in it.
#
# Needs: rustup component add llvm-tools; cargo install --locked cargo-llvm-cov
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
least=95

packages=(dfu-target dfu-target-mcuboot dfu-target-nrf-modem fota-download dfu-testkit)
features=dfu-target/alloc,dfu-target/sha2,dfu-target/sequential-storage,dfu-target-mcuboot/p256,dfu-target-mcuboot/ed25519
features+=,dfu-target-mcuboot/rsa,dfu-target-mcuboot/sha2,fota-download/remote
target=${CARGO_TARGET_DIR:-target}
report=$target/coverage.json
# Without optimization the sweeps take too long; without inlining the lines stay what they are.
export CARGO_PROFILE_DEV_OPT_LEVEL=2 CARGO_PROFILE_TEST_OPT_LEVEL=2
CARGO_TARGET_DIR=$target/coverage cargo llvm-cov --json --summary-only --output-path "$report" \
  "${packages[@]/#/--package=}" --features "$features"

python3 - "$report" "$least" <<'END'
import json, os, sys

crates = {
    "dfu-core/src/": "dfu-target",
    "backends/mcuboot/src/": "dfu-target-mcuboot",
    "backends/nrf-modem/src/": "dfu-target-nrf-modem",
    "fota-download/src/": "fota-download",
}
report, least = sys.argv[1], float(sys.argv[2])
sums = {name: [0] * 4 for name in crates.values()}
files = []
for file in json.load(open(report))["data"][0]["files"]:
    path = os.path.relpath(file["filename"])
    crate = next((name for folder, name in crates.items() if path.startswith(folder)), None)
    if crate is None or path.endswith(("tests.rs", "flash/ram.rs")) or "/tests/" in path:
        continue
    lines, regions = file["summary"]["lines"], file["summary"]["regions"]
    row = [lines["covered"], lines["count"], regions["covered"], regions["count"]]
    sums[crate] = [a + b for a, b in zip(sums[crate], row)]
    files.append((row[1] - row[0], path, row))

share = lambda covered, count: 100 * covered / count if count else 100.0
print("lines that no test runs, where there are most")
for missing, path, row in sorted(files, reverse=True)[:12]:
    print(f"  {missing:4} of {row[1]:4}  {path}")
print(f"\n{'coverage':22} {'lines':>8} {'':>12} {'regions':>8}")
failed = False
for crate, (lines, of_lines, regions, of_regions) in sums.items():
    gated = crate.startswith("dfu-target")
    low = gated and share(lines, of_lines) < least
    failed |= low
    counts = f"{lines}/{of_lines}"
    print(f"{crate:22} {share(lines, of_lines):6.1f} % {counts:>12} {share(regions, of_regions):6.1f} %{'  TOO FEW' if low else ''}")
sys.exit(failed)
END
