# shellcheck shell=bash disable=SC2034 # What is set here is for those who source it.
# The figures of tests/README.md, which those who source this hold theirs against.

committed_in=$(dirname "${BASH_SOURCE[0]}")/../README.md
# judge NAME FIGURE [COLUMN]: sets `committed` and `aim` to what the table says of it, and `verdict`. Growth by more than
# 3 % is a failure, so that it is a decision, made by changing the table with it.
judge() {
  verdict=
  read -r committed aim < <(awk -F '|' -v name="$1" -v column="${3-3}" '
    {gsub(/^[ `]+|[ `]+$/, "", $2)}
    $2 == name && $3 ~ /^ *[0-9]+ *$/ {gsub(/ /, "", $column); gsub(/ /, "", $4); print $column, $4}' "$committed_in") || true
  aim=${aim:--}
  if [ -z "${committed-}" ]; then
    committed=- verdict='  NOT IN THE TABLE of tests/README.md'
    return 1
  elif [ "$2" -le 0 ]; then
    verdict='  MEASURES NOTHING'
    return 1
  elif [ $(($2 * 100)) -gt $((committed * 103)) ]; then
    verdict='  GREW: the table of tests/README.md has less'
    return 1
  elif [ $(($2 * 100)) -lt $((committed * 97)) ]; then
    verdict='  shrank: the table of tests/README.md should follow'
  fi
}
