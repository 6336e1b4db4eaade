#!/usr/bin/env bash
# That nothing in the library can panic, by the linker's word: in what is left of these programs after link-time
# optimization no call leads to the panic handler. `api-*` have all that the crates offer in them, with arguments of
# which the compiler knows nothing; the others are what is measured. For `opt-level` "s" and 3. One way in is allowed,
# which has no caller here: to poll a future that has finished.
#
# The same with log lines, by loggers that cannot panic themselves. Then the panics of what is not held to it: the
# cryptography of others' crates.
set -euo pipefail
# shellcheck source=tests/size/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

api='api-core api-mcuboot api-modem api-download'
strict="baseline writer writer-awaits session recall http fota coap coap-source http-source coap-tcp-source fota-remote
  modem-delta modem-settle modem-full sig-rsa2048 sig-rsa3072 $api"
# With `opt-level` "s" the compiler does not see that a loop of httparse ends, which looks for the first byte of a word
# that is not zero where the word is not: `unreachable!` behind it. httparse alone at 3 costs 96 bytes and has none.
known='fota_download::http::response::Head::parse -> core::panicking::panic -> core::panicking::panic_fmt'
with_httparse='http fota http-source fota-remote api-download'
foreign='sig-p256 sig-ed25519 sig-ed25519-pure'

# The check must find what is there, and let pass only what is allowed.
sighted() {
  local found
  found=$(python3 elf.py panics "$elves/control" | sed 's/ ->.*//' | sort | xargs || true)
  if [ "$found" != 'control::division control::explicit control::index control::slice' ] ||
    ! readelf -sW "$elves/control" | grep panic_const_async_fn_resumed >/dev/null; then
    echo "the panic check is blind: in control it found: ${found:-nothing}" >&2
    failed=1
  fi
}

# check ALLOWED PROGRAM..: no panic in any of them, but for ALLOWED
check() {
  local allowed=$1 program ways
  shift
  sighted
  for program in "$@"; do
    if ways=$(python3 elf.py panics "$elves/$program"); then
      echo "$program: cannot panic"
    elif [ "$ways" = "$allowed" ]; then
      echo "$program: cannot panic, but for what is known of httparse"
    else
      printf '%s: can panic:\n%s\n' "$program" "$ways" >&2
      failed=1
    fi
  done
}

printf 'rustc %s, lto fat, opt-level s\n' "$pin"
build panics --features panics
# shellcheck disable=SC2086
check "$known" $strict
plain=$elves

printf '\nopt-level s, but httparse 3\n'
bins=()
for program in control $with_httparse; do bins+=(--bin "$program"); done
build panics-httparse --features panics --config profile.release.package.httparse.opt-level=3 "${bins[@]}"
# shellcheck disable=SC2086
check '' $with_httparse

printf '\nopt-level 3\n'
build panics-3 --features panics --config profile.release.opt-level=3
# shellcheck disable=SC2086
check '' $strict

bins=(--bin control)
for program in $api; do bins+=(--bin "$program"); done
for feature in defmt log; do
  printf '\nopt-level s, with %s\n' "$feature"
  build "panics-$feature" --features "panics,$feature" "${bins[@]}"
  # shellcheck disable=SC2086
  check "$known" $api
done

printf '\nnot held to it: the functions of others that contain panics, each by the shortest way\n'
for program in $foreign; do
  ways=$(python3 elf.py panics "$plain/$program" || true)
  printf '%s: %s\n%s\n' "$program" "$(grep -c . <<<"$ways" || true)" "$ways"
  if grep '^<*dfu_' <<<"$ways" >&2; then
    echo "$program: can panic in our own code" >&2
    failed=1
  fi
done
exit "$failed"
