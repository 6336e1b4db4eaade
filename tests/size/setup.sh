# shellcheck shell=bash disable=SC2034 # What is set here is for those who source it.
# What the scripts of this folder have in common: they source it. The compiler, where programs are put, and the table
# of tests/README.md that figures are compared with.

from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")" || exit
# Sizes, instructions and what the optimizer can prove all depend on the compiler.
pin=$(sed -n 's/^pin=//p' run.sh)
target=thumbv8m.main-none-eabihf
target_dir=${CARGO_TARGET_DIR:-$(cd ../.. && pwd)/target}
case $target_dir in /*) ;; *) target_dir=$from/$target_dir ;; esac
target_dir=$target_dir/size
# They would replace the flags of .cargo/config.toml.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS CARGO_BUILD_TARGET CARGO_TARGET_THUMBV8M_MAIN_NONE_EABIHF_RUSTFLAGS

[ "$(rustc --version | cut -d' ' -f2)" = "$pin" ] || export RUSTUP_TOOLCHAIN=$pin
if ! rustc --print target-libdir --target "$target" 2>/dev/null | xargs -r test -d; then
  echo "needed: rustup toolchain install $pin --profile minimal --target $target" >&2
  exit 1
fi

# Panics say in which file they are: the place of the checkout is to change no figure.
root=$(cd ../.. && pwd)
# build DIR ARGUMENT..: the programs, into a folder of this name.
build() {
  local to=$target_dir/$1
  shift
  # cargo does not make a folder that is named by a dot.
  mkdir -p "$to"
  cargo build --quiet --release --target-dir "$to" \
    --config "target.$target.rustflags = ['--remap-path-prefix=$root/=']" "$@"
  elves=$to/$target/release
}

failed=0
# judge NAME FIGURE: sets `committed` and `aim` to what the table says of it, and `verdict`. Growth by more than 3 %
# fails, so that it is a decision, made by changing the table with it.
judge() {
  verdict=
  read -r committed aim < <(awk -F '|' -v name="$1" '
    {gsub(/^[ `]+|[ `]+$/, "", $2)}
    $2 == name && $3 ~ /^ *[0-9]+ *$/ {gsub(/ /, "", $3); gsub(/ /, "", $4); print $3, $4}' ../README.md) || true
  aim=${aim:--}
  if [ -z "${committed-}" ]; then
    committed=- verdict='  NOT IN THE TABLE of tests/README.md'
    failed=1
  elif [ "$2" -le 0 ]; then
    verdict='  MEASURES NOTHING'
    failed=1
  elif [ $(($2 * 100)) -gt $((committed * 103)) ]; then
    verdict='  GREW: the table of tests/README.md has less'
    failed=1
  elif [ $(($2 * 100)) -lt $((committed * 97)) ]; then
    verdict='  shrank: the table of tests/README.md should follow'
  fi
}
