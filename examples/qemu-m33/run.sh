#!/usr/bin/env bash
# The example apps on an emulated Cortex-M33, from power-on to the confirmed update, and the library's tests there.
#
# Needs qemu-system-arm, defmt-print, nginx, libcoap's server and client, python3: `tests/ci.sh chip` installs them.
# Each claim is a line; what the firmwares said comes before it. What is made lies in a folder of its own, which is
# kept where a claim fails.
set -euo pipefail

from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")"
root=$(cd ../.. && pwd)
pin=$(sed -n 's/^pin=//p' "$root/tests/size/run.sh")
host_dir=${CARGO_TARGET_DIR:-$root/target}
case $host_dir in /*) ;; *) host_dir=$from/$host_dir ;; esac
target_dir=$host_dir/chip
elves=$target_dir/thumbv8m.main-none-eabihf/release
fixtures=$root/tests/fixtures
# They would replace the flags of .cargo/config.toml.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS CARGO_BUILD_TARGET CARGO_TARGET_THUMBV8M_MAIN_NONE_EABIHF_RUSTFLAGS
[ "$(rustc --version | cut -d' ' -f2)" = "$pin" ] || export RUSTUP_TOOLCHAIN=$pin
locked=()
[ "${CI-}" != true ] || locked=(--locked)

cargo build --quiet --release "${locked[@]}" --target-dir "$target_dir" --bins
# The tools of the PC: what dfu-host says of slots, and MCUboot's model.
(cd "$root" && cargo build --quiet "${locked[@]}" -p dfu-host && cargo build --quiet "${locked[@]}" -p dfu-testkit --example boot)
dfu_host=$host_dir/debug/dfu-host
boot_model=$host_dir/debug/examples/boot

work=$(mktemp -d)
servers=()
passed=0 failed=0
finish() {
  local pid
  for pid in "${servers[@]}"; do kill "$pid" 2>/dev/null || true; done
  if [ "$failed" = 0 ]; then rm -rf "$work"; else echo "kept: $work"; fi
}
trap finish EXIT

# What is committed to, by tests/README.md.
# shellcheck source=tests/size/table.sh
source "$root/tests/size/table.sh"

# --- claims --------------------------------------------------------------------------------------------------------

# claim SENTENCE COMMAND...
claim() {
  local sentence=$1
  shift
  if "$@"; then
    echo "ok      $sentence"
    passed=$((passed + 1))
  else
    echo "FAILED  $sentence: $*"
    failed=$((failed + 1))
  fi
}

# said PATTERN: the firmware did, in its last run.
said() { grep -E -q -- "$1" "$work/log"; }
# complained PATTERN: it did, on standard error.
complained() { grep -E -q -- "$1" "$work/errors"; }
# number PATTERN: what stands in its one group.
number() { sed -nE "s/^.*$1.*$/\1/p" "$work/log" | tail -n 1; }
# least A B, most A B: A is B or more, or less.
least() { [ "$1" -ge "$2" ]; }
most() { [ "$1" -le "$2" ]; }
same() { [ "$1" = "$2" ]; }
# kept NAME BYTES: it is what the table has, or less than 3 % more.
kept() {
  local status=0
  judge "$1" "$2" || status=$?
  echo "  $1: $2 bytes, table $committed, aim $aim$verdict"
  return $status
}
# growing: it waited five times or more, each time longer than before.
growing() {
  sed -nE 's/.*Wait \{ attempt: [0-9]+, ms: ([0-9]+) \}.*/\1/p' "$work/log" |
    awk '$1 <= last {bad = 1} {last = $1} END {exit bad || NR < 5}'
}

# --- the device ----------------------------------------------------------------------------------------------------

flash=$work/flash.bin
# Where the slots are: see src/flash.rs; in pages.
primary=12 secondary=117 slot=105
geometry=(--mode move --slot-size 0x69000 --sector 4096 --write-size 4)

# A device as it left the factory: a bootloader, app-v1, somebody's settings. The flash and its marks of programmed words.
factory() {
  head -c 1048576 /dev/zero | tr '\0' '\377' >"$flash"
  truncate -s 16M "$flash"
  put bootloader 0 <(head -c 45056 /dev/zero | tr '\0' 'b')
  put settings 254 <(head -c 5000 /dev/zero | tr '\0' 's')
  put app-v1 $primary "$fixtures/app-v1.bin"
  others >"$work/others"
}

# put WHAT PAGE FILE
put() { dd if="$3" of="$flash" bs=4096 seek="$2" conv=notrunc status=none; }
digest() { take "$1" "$2" | sha256sum; }
# differs DIGEST PAGE: the page does not have it.
differs() { [ "$(digest "$2" 1)" != "$1" ]; }
take() { dd if="$flash" bs=4096 skip="$1" count="$2" status=none; }
# What an update must leave alone: the bootloader; all behind the progress.
others() { { take 0 $primary; take 224 32; } | sha256sum; }
others_are_as_they_were() { [ "$(others)" = "$(cat "$work/others")" ]; }
slots() {
  take $primary $slot >"$work/primary"
  take $secondary $slot >"$work/secondary"
}

# What dfu-host makes of both slots, in one word.
state() {
  slots
  "$dfu_host" state --primary "$work/primary" --secondary "$work/secondary" "${geometry[@]}" |
    sed -nE 's/^ *state  ([a-z-]+).*/\1/p'
}

# holds FILE: the slot that runs does.
holds() {
  slots
  cmp -s -n "$(stat -c %s "$1")" "$1" "$work/primary"
}

# A reset: MCUboot's model decides and swaps, and has programmed what it erased.
reset() {
  slots
  "$boot_model" "$work/primary" "$work/secondary"
  put primary $primary "$work/primary"
  put secondary $secondary "$work/secondary"
  # A bit for each word of the slots, from 1 MiB on.
  dd if=/dev/zero of="$flash" bs=128 seek=$(((1048576 + primary * 128) / 128)) count=$((2 * slot)) conv=notrunc status=none
}

# start LIMIT PROGRAM ARGUMENT...: power on. `status` is how it ended, the log what it said.
start() {
  local limit=$1 elf=$elves/$2 name=$2
  shift 2
  echo "+ $name $*"
  status=0
  FLASH=$flash QEMU=${QEMU-$steady} timeout "$limit" ./qemu.sh "$elf" "$@" "random=$RANDOM" \
    >"$work/raw" 2>"$work/errors" || status=$?
  if [ "$name" = mcuboot-http ]; then
    defmt-print -e "$elf" --log-format '{L} {s}' <"$work/raw" >"$work/log"
  else
    cp "$work/raw" "$work/log"
  fi
  sed 's/^/  /' "$work/log" "$work/errors"
}

# An instruction takes 64 ns: where this PC is busy, the device's watchdog waits, too.
steady='-icount shift=6'
# And the time in which nothing happens is jumped over.
virtual=$steady,sleep=off

# --- servers -------------------------------------------------------------------------------------------------------

# One below those that connections get, each of which holds its own for a minute after its end.
free_port() {
  python3 - <<'END'
import random, socket

for port in random.sample(range(10000, 30000), 1000):
    try:
        for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
            socket.socket(socket.AF_INET, kind).bind(("127.0.0.1", port))
    except OSError:
        continue
    print(port)
    break
END
}

# server COMMAND...
server() {
  "$@" >"$work/server" 2>&1 &
  servers+=($!)
}

# soon COMMAND...: it succeeds within 20 s.
soon() {
  local try
  for try in {1..200}; do
    ! "$@" >/dev/null 2>&1 || return 0
    sleep 0.1
  done
  echo "not after $try tries: $*" >&2
  return 1
}

web() {
  port=$(free_port)
  mkdir -p "$work/www"
  cp "$fixtures"/*.bin "$work/www"
  cat >"$work/nginx.conf" <<END
daemon off; master_process off; pid $work/nginx.pid; error_log $work/nginx.errors;
events { worker_connections 64; }
http {
  log_format ranges '\$uri \$status \$body_bytes_sent \$http_range'; access_log $work/requests ranges;
  client_body_temp_path $work/t1; proxy_temp_path $work/t2; fastcgi_temp_path $work/t3; uwsgi_temp_path $work/t4;
  scgi_temp_path $work/t5; default_type application/octet-stream;
  server { listen 127.0.0.1:$port; root $work/www; }
}
END
  server nginx -e "$work/nginx.errors" -c "$work/nginx.conf"
  soon bash -c "exec 3<>/dev/tcp/127.0.0.1/$port"
  http=http://10.0.2.2:$port
}

# --- stories -------------------------------------------------------------------------------------------------------

v2=$fixtures/app-v2.bin
v2_size=$(stat -c %s "$v2")
v2_digest=$(sha256sum "$v2" | cut -d' ' -f1)

# An update from the first request to the confirmed image, with a power cut in the middle of a word.
download() {
  local url=$1 first second
  shift
  factory
  claim 'dfu-host sees a device that was never updated' same "$(state)" none
  start 60 mcuboot-http "url=$url" "digest=$v2_digest" cut=40000 "$@"
  claim 'the power fails' same $status 3
  claim 'the firmware runs as it left the factory' said 'boot Factory'
  first=$(number 'fetched ([0-9]+) bytes')
  claim 'in the middle of the download' least "$first" 100000
  claim 'dfu-host: nothing is pending' same "$(state)" none
  claim 'app-v1 is what runs, byte for byte' holds "$fixtures/app-v1.bin"

  start 60 mcuboot-http "url=$url" "digest=$v2_digest" "$@"
  claim 'the update is done at the next start' same $status 0
  second=$(number 'fetched ([0-9]+) bytes')
  echo "  fetched $first and $second bytes of $v2_size"
  claim 'only the rest is fetched' most $((first + second)) $((v2_size + 4096 + 2 * 1024))
  claim 'it was asked for from where it is safe' said 'open from [1-9][0-9]+$'
  claim 'what was read back is the wanted file' said "Verified"
  claim 'it asks for the reset' said '^INFO +reset'
  claim 'the application went on with its work' least "$(number 'work ([0-9]+) ticks')" 10
  claim 'dfu-host: the new image is pending, on trial' same "$(state)" pending-test
  stack=$(number 'ram ([0-9]+) bytes of stack')

  reset
  claim 'dfu-host: it runs on trial' same "$(state)" trial
  claim 'app-v2 is what runs, byte for byte' holds "$v2"
  start 60 mcuboot-http "url=$url" "digest=$v2_digest" "$@"
  claim 'the firmware knows that it is on trial' said 'boot Trial'
  claim 'it reaches its server and stays' said '^INFO +nothing to do'
  claim 'dfu-host: it is confirmed' same "$(state)" confirmed

  reset
  claim 'dfu-host: it stays' same "$(state)" confirmed
  start 60 mcuboot-http "url=$url" "digest=$v2_digest" "$@"
  claim 'the firmware knows that it is confirmed' said 'boot Confirmed'
  claim 'what runs is what is wanted: nothing is fetched' said '^INFO +fetched 0 bytes'
  claim 'bootloader and settings are as they were' others_are_as_they_were
}

over_http() {
  local stack
  : >"$work/requests"
  download "$http/app-v2.bin"
  claim 'an update has the stack that the table says' kept "stack of an update's poll" "$stack"
  claim 'and no more than 16 KiB of it are to be had' same "$(number 'stack limit ([0-9]+) bytes')" 16384
  sed 's/^/  nginx: /' "$work/requests"
  claim 'nginx answered with a part' grep -q '^/app-v2.bin 206 [0-9]* bytes=[1-9]' "$work/requests"
}

# The same over CoAP and UDP, from libcoap's server.
over_coap() {
  local coap_port
  coap_port=$(free_port)
  server coap-server-notls -A 127.0.0.1 -p "$coap_port" -d 10
  # Where the answer to the last block is lost, the server takes that block, sent again, for the whole file.
  soon coap_put "$v2" "coap://127.0.0.1:$coap_port/fw.bin"
  download "coap://10.0.2.2:$coap_port/fw.bin" window=4
  factory
  start 60 mcuboot-http "url=coap+tcp://10.0.2.2:$coap_port/fw.bin" "digest=$v2_digest"
  claim 'over CoAP and TCP, too' same "$(state)" pending-test
}

coap_put() {
  coap-client-notls -B 5 -m put -b 1024 -f "$1" "$2" && coap-client-notls -B 5 -b 1024 -o "$work/put" "$2" && cmp "$1" "$work/put"
}

# QEMU is killed amid the download: a power cut that nobody has prepared. The flash is in its file.
killed() {
  local pid page=$((secondary + 20)) erased
  factory
  erased=$(digest $page 1)
  FLASH=$flash QEMU=$steady ./qemu.sh "$elves/mcuboot-http" "url=$http/app-v2.bin" "digest=$v2_digest" "random=$RANDOM" >"$work/raw" 2>"$work/errors" &
  pid=$!
  claim 'the download comes to its 20th page' soon differs "$erased" $page
  kill -KILL "$pid"
  { wait "$pid" || true; } 2>/dev/null
  claim 'dfu-host: nothing is pending' same "$(state)" none
  start 60 mcuboot-http "url=$http/app-v2.bin" "digest=$v2_digest"
  claim 'it goes on from the 16th page or later' least "$(number 'open from ([0-9]+)')" 65536
  claim 'dfu-host: the new image is pending, on trial' same "$(state)" pending-test
  claim 'bootloader and settings are as they were' others_are_as_they_were
}

# An image that does not reach its server when it is on trial goes back, and is not taken again.
reverting() {
  local file=sig-ed25519.bin digest
  digest=$(sha256sum "$fixtures/$file" | cut -d' ' -f1)
  factory
  start 60 mcuboot-http "url=$http/$file" "digest=$digest" rules=1
  claim 'a signed image is taken' same "$(state)" pending-test
  reset
  QEMU=$virtual start 60 mcuboot-http "url=http://10.0.2.2:$closed/$file" "digest=$digest" rules=1
  claim 'on trial it does not reach its server' said 'boot Trial'
  claim 'and wants to go back' said '^INFO +reset'
  claim 'it did not confirm itself' same "$(state)" trial
  reset
  claim 'dfu-host: it went back' same "$(state)" reverted
  start 60 mcuboot-http "url=$http/$file" "digest=$digest" rules=1
  claim 'the firmware knows that the other one came back' said 'boot Reverted'
  claim 'and does not take it again' said '^ERROR +update: this image was applied before and came back'
  claim 'nothing is pending' same "$(state)" reverted
}

# refused NAME FILE REASON: by name of what is wrong; and the device is as it was.
refused() {
  local before
  factory
  before=$(digest 0 256)
  start 60 mcuboot-http "url=$http/$2" rules=1
  claim "$1 is refused" same $status 1
  claim "$1: the reason is said" said "^ERROR +update: $3"
  claim "$1: the application goes on" least "$(number 'ticks, ([0-9]+) after')" 9
  claim "$1: nothing is pending" same "$(state)" none
  claim "$1: what ran runs" holds "$fixtures/app-v1.bin"
  claim "$1: bootloader and settings are as they were" others_are_as_they_were
  [ "${4-}" != untouched ] || claim "$1: not a byte of flash was changed" same "$(digest 0 256)" "$before"
}

# patched FROM TO OFFSET BYTES: a copy with other bytes there.
patched() {
  cp "$fixtures/$1" "$work/www/$2"
  printf '%b' "$4" | dd of="$work/www/$2" bs=1 seek="$3" conv=notrunc status=none
}

bad_input() {
  patched app-v2.bin long.bin 12 '\x00\x00\x07\x00'
  truncate -s 460000 "$work/www/long.bin"
  refused 'an image that does not fit' long.bin 'the image needs [0-9]+ bytes, and this slot takes images of up to 421888' untouched
  patched sig-ed25519.bin older.bin 20 '\x00'
  refused 'an older image' older.bin 'version 0.2.3\+4 is not wanted where 1.0.0\+0 runs' untouched
  refused 'an image for the modem' modem-full.wrapper 'a full modem update, and no target here takes one' untouched
  echo '<!DOCTYPE html><title>Please log in</title>' >"$work/www/page.html"
  refused 'a web page' page.html 'the server sends a web page instead of a file' untouched
  refused 'a file that is not there' nothing.bin 'the server answers with status 404' untouched
  patched sig-ed25519.bin damaged.bin 5000 'damage'
  refused 'a damaged image' damaged.bin "the image's hash is not that of its bytes"
  refused 'an image that another key signed' sig-ecdsa-p256.bin 'no signature by a key that the bootloader has'
}

# A server that is not there: tried again after longer and longer pauses, in virtual time.
dead_network() {
  factory
  QEMU=$virtual start 60 mcuboot-http "url=http://10.0.2.2:$closed/app-v2.bin"
  claim 'without a server the update ends' same $status 1
  claim 'it was tried again after longer and longer pauses' growing
  claim 'the reason is said' said '^ERROR +update: .*no connection'
  claim 'the application went on with its work meanwhile' least "$(number 'work ([0-9]+) ticks')" 100
  claim 'the watchdog did not fire' same "$(cat "$work/errors")" ''
  claim 'no turn was longer than an erase' most "$(number 'longest turn ([0-9]+) us')" 85000
  claim 'nothing is pending' same "$(state)" none
}

# A device that overflows its stack, or hangs, does not go on as if nothing were.
faults() {
  factory
  QEMU=$virtual start 60 mcuboot-http "url=http://10.0.2.2:$closed/app-v2.bin" stack=4096
  claim 'a stack that is too small ends in a fault' same $status 102
  claim 'which says why' complained '^fault: the stack is full'
  QEMU=$virtual start 60 mcuboot-http "url=http://10.0.2.2:$closed/app-v2.bin" starve=50
  claim 'a program that forgets its watchdog is ended' same $status 4
  claim 'by the watchdog' complained '^watchdog: not fed for 2 s'
  claim 'two seconds after it forgot' most "$(number 'at ([0-9]+) ms')" 7000
  claim 'and not before' least "$(number 'at ([0-9]+) ms')" 3000
  claim 'bootloader and settings are as they were' others_are_as_they_were
}

# Without an executor, and without a network.
blocking() {
  local file=$fixtures/sig-ed25519.bin
  factory
  start 30 blocking cut=1500
  claim 'the power fails amid a push' same $status 3
  claim 'dfu-host: nothing is pending' same "$(state)" none
  start 30 blocking
  claim 'the push goes on where it is safe' said 'push from 4096 of'
  claim 'and is applied' said '^reset'
  claim 'dfu-host: the new image is pending' same "$(state)" pending-test
  claim 'all of it has the stack that the table says' kept 'stack of a blocking update' "$(number 'ram ([0-9]+) bytes')"
  claim 'it gave way between the erases' least "$(number 'gave way ([0-9]+) times')" 3
  reset
  start 30 blocking
  claim 'it runs on trial' said 'boot Trial'
  claim 'dfu-host: it is confirmed' same "$(state)" confirmed
  claim 'what runs is the image, byte for byte' holds "$file"
  claim 'bootloader and settings are as they were' others_are_as_they_were
}

# The library's suites, which ask for no time.
suites() {
  QEMU='' start 300 tests
  claim 'all of them pass' same $status 0
  claim 'a signature has the stack that the table says' kept 'stack of a signature' "$(number 'Ed25519 ([0-9]+)')"
  # Counted by tests/ci.sh.
  sed -n '/^test result: /p' "$work/log"
}

# Each, or those that were named. All are beside the suites, which keep a core busy.
stories=("$@")
if [ $# = 0 ]; then
  stories=(over_http over_coap killed reverting bad_input dead_network faults blocking)
  CARGO_TARGET_DIR=$host_dir bash run.sh suites >"$work/suites" 2>&1 &
  suites=$!
  servers+=("$suites")
fi
web
cp "$fixtures/modem-full.wrapper" "$work/www"
closed=$(free_port)
for story in "${stories[@]}"; do
  printf '\n--- %s\n' "${story//_/ }"
  began=$SECONDS
  "$story"
  echo "--- $((SECONDS - began)) s"
done
if [ $# = 0 ]; then
  wait "$suites" || failed=$((failed + 1))
  sed '/ passed, .* failed$/d' "$work/suites"
fi
echo

printf '%s passed, %s failed\n' "$passed" "$failed"
if [ "$failed" = 0 ]; then verdict=ok; else verdict=FAILED; fi
echo "test result: $verdict. $passed passed; $failed failed; 0 ignored; 0 measured; 0 filtered out"
[ "$failed" = 0 ]
