#!/usr/bin/env bash
# Every check of this repository, by one command:
#
#   tests/ci.sh all      everything, once; the last line is `N passed, N failed` over all of cargo's test results
#   tests/ci.sh <job>    one of: fmt clippy doc msrv nostd size no-panic device modem nrf9160 dtls fixtures readme test
#                        chip sweep beside bench miri fuzz supply tools
#                        and, which `all` leaves out: coverage mutants
#   tests/ci.sh fuzz-long [30m [target...]]    the fuzz targets, so long each
#
# It installs what it needs and does not find: rustup components, targets and toolchains, apt packages, imgtool,
# aiocoap, node-coap, defmt-print, cargo-deny. What it could not get it names; the job is then left out (status 77), or
# fails where CI=true. `bench`, `miri`, `fuzz` and `supply` are left out there, too.
#
# Peers of the tests, servers all of them and none left running by its installation: nginx, caddy, lighttpd, python3's
# http.server, libcoap, aiocoap, node-coap.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec </dev/null

target=thumbv8m.main-none-eabihf
imgtool=2.5.0
aiocoap=0.4.17
node_coap=1.5.0
fuzzer=0.13.2
defmt_print=1.2.0
cargo_deny=0.20.2
mutants=27.1.0
llvm_cov=0.9.1
# The toolchain of all jobs but `msrv` and the README's commands, which take what is there: lints, formatting and
# sizes depend on it.
pin=$(sed -n 's/^pin=//p' tests/size/run.sh)

# Feature sets, package:features.
sets=(
  'dfu-target:'
  'dfu-target:sha2'
  'dfu-target:alloc'
  'dfu-target:defmt'
  'dfu-target:log'
  'dfu-target:sequential-storage'
  'dfu-target:sha2,alloc,log'
  'dfu-target:sha2,alloc,defmt'
  'dfu-target-mcuboot:'
  'dfu-target-mcuboot:defmt'
  'dfu-target-mcuboot:sha2'
  'dfu-target-mcuboot:p256'
  'dfu-target-mcuboot:ed25519'
  'dfu-target-mcuboot:rsa'
  'dfu-target-mcuboot:p256,ed25519,rsa,defmt'
  'dfu-target-nrf-modem:'
  'dfu-target-nrf-modem:defmt'
  'fota-download:'
  'fota-download:http'
  'fota-download:http,defmt'
  'fota-download:http,log'
  'fota-download:coap'
  'fota-download:coap,defmt'
  'fota-download:coap-tcp'
  'dfu-apps:'
  'dfu-apps:defmt'
  'fota-download:remote'
  'fota-download:remote,defmt'
  'fota-connectors:'
  'fota-connectors:embedded-nal'
  'fota-connectors:embedded-nal,defmt'
  'fota-connectors:embedded-tls'
  'fota-connectors:embedded-tls,defmt'
  'fota-connectors:embassy-net'
  'fota-connectors:embassy-net-ipv6,defmt'
  'dfu-testkit:'
  'dfu-trace:'
  'dfu-trace:connect'
)
# What `all` runs, each with its limit in seconds; with `&` beside those that follow, up to one without: what links or
# checks one thing after the other leaves a core idle. `readme` is the test run: it runs `cargo test --workspace`.
order=(fmt:300 fixtures:600 doc:600 'tools:900&' size:1200 device:600 'msrv:900&' 'nostd:900&' clippy:1200
  'no-panic:1500&' 'modem:900&' nrf9160:1200 dtls:600 readme:3000 chip:1200 sweep:1200 'beside:600&' 'bench:900&' miri:1200
  'supply:1200&' fuzz:1500)

export CARGO_TERM_COLOR=never CARGO_TERM_PROGRESS_WHEN=never
# What is built once is built sooner without; and of a failure here the lines are enough.
export CARGO_INCREMENTAL=${CARGO_INCREMENTAL-0} CARGO_PROFILE_DEV_DEBUG=${CARGO_PROFILE_DEV_DEBUG-line-tables-only}
tools=${CARGO_TARGET_DIR:-target}/ci-tools
logs=${CARGO_TARGET_DIR:-target}/ci-logs
[ ! -d "$tools/bin" ] || PATH=$(cd "$tools/bin" && pwd):$PATH
locked=()
[ "${CI-}" != true ] || locked=(--locked)

# --- jobs ---------------------------------------------------------------------------------------------------------

job_fmt() {
  need_rust rustfmt
  run cargo fmt --all -- --check --color never
  run cargo fmt --manifest-path tests/size/Cargo.toml -- --check --color never
  run cargo fmt --manifest-path tests/fuzz/Cargo.toml -- --check --color never
  run cargo fmt --manifest-path tests/dtls/Cargo.toml -- --check --color never
  run cargo fmt --manifest-path tests/embassy-boot/Cargo.toml -- --check --color never
  run cargo fmt --manifest-path tests/libmodem/Cargo.toml -- --check --color never
  run cargo fmt --manifest-path examples/qemu-m33/Cargo.toml -- --check --color never
  local script
  for script in .ci/run tests/*.sh tests/*/*.sh examples/*/*.sh; do
    run bash -n "$script"
  done
  if have shellcheck || apt_install shellcheck; then
    run shellcheck .ci/run tests/*.sh tests/*/*.sh examples/*/*.sh
  else
    echo 'no shellcheck here: left out'
  fi
}

job_clippy() {
  need_rust clippy
  run cargo clippy "${locked[@]}" --workspace --all-targets -- -D warnings
  local set
  for set in "${sets[@]}"; do
    run cargo clippy "${locked[@]}" -p "${set%%:*}" --no-default-features --features "${set#*:}" -- -D warnings
  done
}

# The same for the chip, where there is no std. That nothing here needs an allocator either is proved by the programs of
# `size`, which have none and link.
job_nostd() {
  need_rust clippy "$target"
  # In a folder of its own, so that nobody waits for it.
  local at=(--target "$target" --target-dir "${CARGO_TARGET_DIR:-target}/nostd") set
  for set in "${sets[@]}"; do
    run cargo clippy "${locked[@]}" "${at[@]}" -p "${set%%:*}" --no-default-features --features "${set#*:}" -- -D warnings
  done
}

job_doc() {
  need_rust
  RUSTDOCFLAGS='-D warnings' run cargo doc "${locked[@]}" --workspace --all-features --no-deps
}

job_msrv() {
  need_cargo
  local version
  version=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
  case $version in *.*.*) ;; *) version+=.0 ;; esac
  need_toolchain "$version"
  # In a folder of its own, so that nobody waits for it.
  local at=(--target-dir "${CARGO_TARGET_DIR:-target}/msrv") set
  run cargo check "${locked[@]}" "${at[@]}" --workspace
  for set in "${sets[@]}"; do
    # sequential-storage names 1.87 as its own minimum and needs 1.89.
    # And smoltcp, of which embassy-net is made, 1.91.
    case $set in *sequential* | *embassy-net*) continue ;; esac
    run cargo check "${locked[@]}" "${at[@]}" -p "${set%%:*}" --no-default-features --features "${set#*:}"
  done
}

# Programs that other jobs need, while there is a core for them. What could not be had these will say.
job_tools() {
  need_rust
  local CI=
  (need_defmt_print) || true
  (need_tool cargo-fuzz "$fuzzer" --debug) || true
}

job_size() {
  need_rust '' "$target"
  need readelf binutils
  need python3 python3
  run tests/size/run.sh
  run tests/size/examples.sh qemu-m33
  # What the modem library needs is not on every PC.
  local status=0
  (need_modem_library && run tests/size/examples.sh nrf9160) || status=$?
  [ "$status" = 77 ] || return "$status"
  echo "left out: the firmwares of the nRF9160 DK"
}

# That nothing in the library can panic.
job_no-panic() {
  need_rust '' "$target"
  need readelf binutils
  need python3 python3
  run tests/size/panics.sh
}

# Of the signature schemes: what they take on a Cortex-M33, and that its code, in part another than the host's, is right.
job_device() {
  need_rust '' "$target"
  need qemu-system-arm qemu-system-arm
  run tests/size/device.sh
}

# The port and the sockets over the real modem library, which is for the chip alone and needs more to be built than all else does.
job_modem() {
  need_rust clippy "$target"
  need_modem_library
  # Where and as its program is built, so that nothing is built twice.
  local at=(--release --target "$target" --target-dir "${CARGO_TARGET_DIR:-target}/libmodem") chip set sockets
  export CARGO_PROFILE_RELEASE_LTO=fat
  for chip in nrf9160 nrf9120; do
    for set in "libmodem,$chip" "libmodem,$chip,os-sleep,wrap-init,defmt"; do
      run cargo clippy "${locked[@]}" "${at[@]}" -p dfu-target-nrf-modem --features "$set" -- -D warnings
    done
    for sockets in "nrf-modem,$chip" "nrf-modem,$chip,defmt"; do
      run cargo clippy "${locked[@]}" "${at[@]}" -p fota-connectors --features "$sockets" -- -D warnings
    done
  done
  RUSTDOCFLAGS='-D warnings' run cargo doc "${locked[@]}" "${at[@]}" -p fota-connectors --features "$sockets" --no-deps
  RUSTDOCFLAGS='-D warnings' run cargo doc "${locked[@]}" "${at[@]}" -p dfu-target-nrf-modem --features "$set" --no-deps
  run tests/libmodem/run.sh
}

# The firmwares of the nRF9160 DK: built, linked with the modem library, and signed as MCUboot takes them.
job_nrf9160() {
  need_rust rustfmt
  need_rust clippy "$target"
  need_modem_library
  need_imgtool
  run examples/nrf9160/run.sh
}

# CoAP over DTLS, which takes OpenSSL's headers to be built.
job_dtls() {
  need_rust clippy
  need coap-server-openssl libcoap3-bin
  need pkg-config pkg-config
  pkg-config --exists openssl || apt_install libssl-dev || lack "OpenSSL's headers (apt package libssl-dev)"
  local at=(--manifest-path tests/dtls/Cargo.toml --target-dir "${CARGO_TARGET_DIR:-target}/dtls")
  run cargo clippy "${locked[@]}" "${at[@]}" --all-targets -- -D warnings
  run cargo test "${locked[@]}" "${at[@]}"
}

job_fixtures() {
  need openssl openssl
  need_imgtool
  run tests/fixtures/make.sh --check
  run tests/fixtures/modem.py --check
}

# The two commands that the README tells newcomers to type, as they stand there.
job_readme() {
  need_peers
  local command commands
  mapfile -t commands < <(sed -nE 's/^[[:space:]]*(cargo (run -p dfu-host|test --workspace)([[:space:]].*)?)$/\1/p' README.md)
  if [ "${#commands[@]}" != 2 ]; then
    echo "README.md should name 'cargo run -p dfu-host' and 'cargo test --workspace', once each; found: ${commands[*]-nothing}"
    return 1
  fi
  for command in "${commands[@]}"; do
    run bash -c "$command"
  done
}

job_test() {
  need_peers
  run cargo test --workspace
}

# The example apps on a Cortex-M33, simulated by QEMU, with servers on this PC; and the library's tests there.
job_chip() {
  need_rust clippy "$target"
  need qemu-system-arm qemu-system-arm
  need nginx nginx-light
  need coap-server-notls libcoap3-bin
  need python3 python3
  need_defmt_print
  # In its folder, which says for what it is built.
  local target_dir=${CARGO_TARGET_DIR:-target}
  case $target_dir in /*) ;; *) target_dir=$PWD/$target_dir ;; esac
  (cd examples/qemu-m33 &&
    run cargo clippy "${locked[@]}" --release --target-dir "$target_dir/chip" --bins -- -D warnings)
  run examples/qemu-m33/run.sh
}

job_sweep() {
  need_cargo
  run cargo test "${locked[@]}" -p dfu-testkit --release --test sweep --test requirements --test modem_sweep -- --nocapture
}

# The same faults on embassy-boot and on this library, in one table.
job_beside() {
  need_rust clippy
  local at=(--manifest-path tests/embassy-boot/Cargo.toml --target-dir "${CARGO_TARGET_DIR:-target}/beside")
  run cargo clippy "${locked[@]}" "${at[@]}" --all-targets -- -D warnings
  run cargo test "${locked[@]}" "${at[@]}" --tests -- --nocapture
}

# What a session costs beside embassy-boot, in instructions of a Cortex-M33; how much of network and flash is waited for
# at once, in virtual time; how long downloads take, by transport and way; what `digest` costs beyond its SHA-256.
job_bench() {
  need_rust '' "$target"
  CI='' need qemu-system-arm qemu-system-arm
  run tests/size/speed.sh
  run cargo test "${locked[@]}" -p dfu-testkit --test overlap -- --nocapture
  need_peers
  run cargo bench "${locked[@]}" -p dfu-testkit --bench speed
  CI='' need valgrind valgrind
  run tests/benches/digest.sh
}

# Undefined behaviour, by the interpreter: the unit tests, which need nothing of the machine, but for those that would
# take it minutes.
job_miri() {
  need_miri
  run tests/miri.sh
}

# A minute each, from the same random numbers.
job_fuzz() {
  need_fuzzer
  run tests/fuzz/run.sh 60s
}

# For a night, with other random numbers each time: 30 minutes each, or as long as is said. Not in `all`.
job_fuzz-long() {
  need_fuzzer
  export SEED=${SEED:-$((RANDOM + 1))}
  [ $# -gt 0 ] || set -- 30m
  run tests/fuzz/run.sh "$@"
}

# What all this is built on.
job_supply() {
  need_rust
  need python3 python3
  need_deny
  run tests/supply.sh
}

# Which of the library's lines the tests run.
job_coverage() {
  need_rust llvm-tools
  need python3 python3
  need_tool cargo-llvm-cov "$llvm_cov"
  need_peers
  run tests/coverage.sh
}

# What the tests notice of changes to the library. Hours, for all of them; a part with MUTANTS=3/40.
job_mutants() {
  need_rust
  need_tool cargo-mutants "$mutants"
  run tests/mutants.sh ${MUTANTS+"$MUTANTS"}
}

job_all() {
  local entry job beside=() failed=() left_out=() times=()
  rm -rf "$logs" "$logs.times"
  for entry in "${order[@]}"; do
    job=${entry%:*}
    case $entry in
      *'&')
        entry=${entry%&}
        timed "$job" "${entry#*:}" >/dev/null &
        beside+=("$job")
        continue
        ;;
    esac
    printf '\n=== %s\n' "$job"
    timed "$job" "${entry#*:}"
    ended "$job"
    wait
    for job in "${beside[@]}"; do
      printf '\n=== %s\n' "$job"
      tail -n +2 "$logs/$job"
      ended "$job"
    done
    beside=()
  done

  printf '\n=== all jobs\n'
  printf '%s\n' "${times[@]}"
  [ "${#left_out[@]}" = 0 ] || echo "left out: ${left_out[*]}"
  [ "${#failed[@]}" = 0 ] || echo "failed: ${failed[*]}"
  printf '\n'
  local results
  results=$(sed -n '/^test result: /p' "$logs"/*)
  [ -z "$results" ] || echo "$results"
  awk '{for (i = 2; i <= NF; i++) {if ($i ~ /^passed/) p += $(i-1); if ($i ~ /^failed/) f += $(i-1)}}
       END {printf "%d passed, %d failed\n", p, f}' <<<"$results"
  [ "${#failed[@]}" = 0 ]
}

# timed JOB LIMIT: runs it, and leaves its status and seconds beside the logs.
timed() {
  local job=$1 limit=$2 status=0 began=$SECONDS
  DFU_CI_LOGGED=1 logged "$job" timeout --kill-after=30 "$limit" bash tests/ci.sh "$job" || status=$?
  case $status in 124 | 137) echo "$job: stopped after $limit s" ;; esac
  mkdir -p "$logs.times"
  echo "$status $((SECONDS - began))" >"$logs.times/$job"
}

# ended JOB: takes down what became of it.
ended() {
  local job=$1 status seconds
  read -r status seconds <"$logs.times/$job"
  case $status in
    0) ;;
    77) left_out+=("$job") ;;
    *) failed+=("$job") ;;
  esac
  times+=("$(printf '%-9s %5d s  status %d' "$job" "$seconds" "$status")")
  echo "=== $job: status $status, $seconds s"
}

# logged JOB COMMAND...: what it prints is kept, for evidence.sh. Through a file, not a pipe: what a test leaves running
# cannot hold this up.
logged() {
  local job=$1 log=$logs/$1 pid status=0
  shift
  mkdir -p "$logs"
  echo "commit $(git describe --always --dirty --abbrev=40 2>/dev/null)" >"$log"
  "$@" >>"$log" 2>&1 &
  pid=$!
  tail -n +2 -f -s 0.2 --pid="$pid" "$log" || true
  wait "$pid" || status=$?
  echo "status $status" >>"$log"
  return "$status"
}

# --- what they need -----------------------------------------------------------------------------------------------

run() {
  printf '+ %s\n' "$*"
  "$@"
}

have() { command -v "$1" >/dev/null 2>&1; }

# lack WHAT: it could not be had, so this job cannot run.
lack() {
  echo "could not get: $1"
  [ "${CI-}" != true ] || exit 1
  exit 77
}

apt_install() {
  [ "$(id -u)" = 0 ] && have apt-get || return 1
  # Another job may be at it.
  local install=(timeout 300 apt-get install -y -qq -o DPkg::Lock::Timeout=240 --no-install-recommends "$@")
  local policy=/usr/sbin/policy-rc.d
  export DEBIAN_FRONTEND=noninteractive
  (
    # What is installed is not to be started: the tests start servers of their own.
    if [ ! -e "$policy" ]; then
      trap 'rm -f "$policy"' EXIT
      printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy"
    fi
    "${install[@]}" >/dev/null 2>&1 || { timeout 300 apt-get update -qq >/dev/null 2>&1 && "${install[@]}" >/dev/null; }
  )
}

# need COMMAND PACKAGE
need() { have "$1" || { apt_install "$2" && have "$1"; } || lack "$1 (apt package $2)"; }

need_cargo() {
  have cargo || lack 'cargo (rustup.rs)'
  have cc || apt_install gcc libc6-dev || lack 'a C compiler, to link with'
  cargo --version >/dev/null 2>&1 || rustup_timely default stable || lack 'a Rust toolchain'
}

# need_toolchain VERSION: made the one in use from here on.
need_toolchain() {
  [ "$(rustc --version | cut -d' ' -f2)" != "$1" ] || return 0
  rustc "+$1" --version >/dev/null 2>&1 || rustup_timely toolchain install "$1" --profile minimal || lack "Rust $1"
  export RUSTUP_TOOLCHAIN=$1
}

# need_rust [COMPONENT [TARGET]]
need_rust() {
  need_cargo
  need_toolchain "$pin"
  case "${1-}" in
    '') ;;
    rustfmt) cargo fmt --version >/dev/null 2>&1 || rustup_timely component add rustfmt || lack rustfmt ;;
    clippy) cargo clippy --version >/dev/null 2>&1 || rustup_timely component add clippy || lack clippy ;;
    llvm-tools) [ -x "$(rustc --print target-libdir)/../bin/llvm-objcopy" ] || rustup_timely component add llvm-tools ||
      lack llvm-tools ;;
  esac
  [ -z "${2-}" ] || [ -d "$(rustc --print target-libdir --target "$2")" ] || rustup_timely target add "$2" ||
    lack "the target $2 (rustup target add $2)"
}

rustup_timely() { have rustup && run timeout 600 rustup "$@"; }

# For bindgen. Where it is elsewhere, LIBCLANG_PATH says so.
need_libclang() {
  [ -z "${LIBCLANG_PATH-}" ] || return 0
  compgen -G '/usr/lib/llvm-*/lib/libclang.so*' >/dev/null || apt_install libclang-dev || lack 'libclang (apt package libclang-dev)'
}

# The headers of C's library, for tinyrlibc.
need_newlib() {
  echo '#include <stdio.h>' | arm-none-eabi-gcc -E - >/dev/null 2>&1 || apt_install libnewlib-arm-none-eabi ||
    lack 'newlib (apt package libnewlib-arm-none-eabi)'
}

need_fuzzer() {
  local CI=
  need_cargo
  need c++ g++
  cargo +nightly --version >/dev/null 2>&1 || rustup_timely toolchain install nightly --profile minimal ||
    lack 'Rust nightly'
  need_tool cargo-fuzz "$fuzzer" --debug
}

# need_tool NAME VERSION [OPTION...]: a program of crates.io, built plainly (--debug) where it does little by itself.
need_tool() {
  have "$1" || CARGO_PROFILE_DEV_DEBUG=0 run timeout 900 cargo install --quiet --locked "$1@$2" "${@:3}" --root "$tools" || true
  [ ! -d "$tools/bin" ] || PATH=$(cd "$tools/bin" && pwd):$PATH
  have "$1" || lack "$1 $2 (crates.io)"
}

# What Nordic's modem library takes to be built and linked.
need_modem_library() {
  need_rust llvm-tools
  need_libclang
  need arm-none-eabi-gcc gcc-arm-none-eabi
  need_newlib
}

# What firmwares say by defmt.
need_defmt_print() {
  need_tool defmt-print "$defmt_print" --debug
}

# Without its features: a client of its own for git, and TLS.
need_deny() {
  local CI=
  need_tool cargo-deny "$cargo_deny" --debug --no-default-features
}

need_miri() {
  local CI=
  need_cargo
  cargo +nightly --version >/dev/null 2>&1 || rustup_timely toolchain install nightly --profile minimal ||
    lack 'Rust nightly'
  cargo +nightly miri --version >/dev/null 2>&1 || rustup_timely component add --toolchain nightly miri rust-src ||
    lack 'miri (rustup component of nightly)'
}

need_imgtool() {
  need python3 python3
  [ "$(imgtool version 2>/dev/null)" != "$imgtool" ] || return 0
  echo "+ installing imgtool $imgtool"
  pip_install "imgtool==$imgtool"
  [ "$(imgtool version 2>/dev/null)" = "$imgtool" ] || lack "imgtool $imgtool (PyPI)"
}

need_aiocoap() {
  need python3 python3
  local version='from importlib.metadata import version; print(version("aiocoap"))'
  [ "$("$tools/bin/python3" -c "$version" 2>/dev/null)" != "$aiocoap" ] || return 0
  echo "+ installing aiocoap $aiocoap"
  pip_install "aiocoap==$aiocoap"
  have aiocoap-fileserver || lack "aiocoap $aiocoap (PyPI)"
}

# Its folder is told by NODE_PATH.
need_node_coap() {
  need node nodejs
  NODE_PATH=$(mkdir -p "$tools/node_modules" && cd "$tools/node_modules" && pwd)${NODE_PATH:+:$NODE_PATH}
  export NODE_PATH
  local version='console.log(require("coap/package.json").version)'
  [ "$(node -e "$version" 2>/dev/null)" != "$node_coap" ] || return 0
  need npm npm
  echo "+ installing node-coap $node_coap"
  timeout 300 npm install --prefix "$tools" --no-save --no-audit --no-fund --ignore-scripts --loglevel=error \
    "coap@$node_coap" >/dev/null || true
  [ "$(node -e "$version" 2>/dev/null)" = "$node_coap" ] || lack "node-coap $node_coap (npm)"
}

# pip_install REQUIREMENT: into the folder of tools, if it can be had.
pip_install() {
  if python3 -m venv "$tools" >/dev/null 2>&1 || { apt_install python3-venv && python3 -m venv "$tools"; }; then
    PATH=$(cd "$tools/bin" && pwd):$PATH
    timeout 300 "$tools/bin/pip" install --quiet "$1" || true
  fi
  hash -r
}

# The servers and tools that the tests are run against: a test without its peer is then a failure.
need_peers() {
  need_cargo
  need nginx nginx-light
  need caddy caddy
  need lighttpd lighttpd
  need coap-server-notls libcoap3-bin
  need_imgtool
  need_aiocoap
  need_node_coap
  export DFU_PEERS=required
}

# ------------------------------------------------------------------------------------------------------------------

if ! declare -F "job_${1-}" >/dev/null; then
  sed -n '2,15s/^# \{0,1\}//p' tests/ci.sh
  exit 2
fi
job=$1
shift
if [ "$job" = all ] || [ -n "${DFU_CI_LOGGED-}" ]; then
  "job_$job" "$@"
else
  DFU_CI_LOGGED=1 logged "$job" bash tests/ci.sh "$job" "$@"
fi
