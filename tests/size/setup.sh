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
# TARGET_CPU=generic is what a firmware has that names none; the figures are those of a Cortex-M33.
flags="'--remap-path-prefix=$root/='${TARGET_CPU:+,"'-Ctarget-cpu=$TARGET_CPU'"}"
# build DIR ARGUMENT..: the programs, into a folder of this name.
build() {
  local to=$target_dir/$1
  shift
  # cargo does not make a folder that is named by a dot.
  mkdir -p "$to"
  cargo build --quiet --release --target-dir "$to" \
    --config "target.$target.rustflags = [$flags]" "$@"
  elves=$to/$target/release
}

failed=0
# shellcheck source=tests/size/table.sh
source table.sh
