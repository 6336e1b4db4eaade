#!/usr/bin/env bash
# The unit tests in Miri, which finds undefined behaviour, in the library and in what it is made of; the example of
# `block_on`; and of the suites those that need no SHA-256: windows over one flash, the writer, the progress log. These
# try a few of their many points there. Left out are tests that try so many bytes, or calculate so much, that Miri would
# take a minute for one of them: the ordinary run has them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

skipped=(
  r02_a_cut_in_a_save_leaves_the_record_of_before_or_the_new_one
  r04_a_flash_that_fails_or_lies_makes_a_save_an_error
  r08_an_update_without_interruption_erases_next_to_nothing
  a_changed_bit_shows_wherever_it_is
  any_byte_changed_is_refused_or_read_as_something_sound
  any_bytes_are_walked_without_a_fault
  garbage_is_read_alike
  it_is_found_at_each_place_where_it_may_be_and_at_no_other
  it_is_truncated_at_each_byte_up_to_its_end
  lists_of_each_size_are_taken_up_to_the_most
  no_bit_of_a_record_may_change
  numbers_may_be_longer_than_they_need_to_be
  r05_records_come_back_for_every_word_size
  signature::
  the_largest_device_and_the_longest_names_are_drawn
  the_longest_wrapper_is_taken_and_one_byte_more_is_not
  what_is_stored_comes_back_and_no_bit_of_it_may_change
  what_is_written_is_read_by_the_known_crate
  what_the_hash_does_not_cover_is_on_mcuboots_list
  what_the_known_crate_writes_is_read
)
skips=()
for test in "${skipped[@]}"; do skips+=(--skip "$test"); done
# One of them takes as long as all others: beside them, and told in one piece.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo +nightly miri test -p dfu-target --lib -- "${skips[@]}" >"$log" 2>&1 &
core=$!
for package in dfu-target-mcuboot dfu-target-nrf-modem fota-download; do
  cargo +nightly miri test -p "$package" --lib -- "${skips[@]}"
done
cargo +nightly miri test -p dfu-target --doc blocking
cargo +nightly miri test -p dfu-testkit --test region --test writer --test log -- "${skips[@]}"
status=0
wait "$core" || status=$?
cat "$log"
exit "$status"
