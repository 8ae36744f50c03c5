# shellcheck shell=bash
# What every script here shares: where things are cached, and how to speak. Sourced, never run.

# A failure inside $(…) counts, as it does outside.
shopt -s inherit_errexit 2>/dev/null || true

WRIT_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
WRIT_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/writ
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$WRIT_CACHE/target}
readonly WRIT_ROOT WRIT_CACHE

# Progress and problems go to standard error: standard output belongs to what a script prints as its result.
say() { printf '%s\n' "$*" >&2; }
warn() { printf 'warning: %s\n' "$*" >&2; }
die() {
  printf 'error: %s\n' "$1" >&2
  if [ $# -gt 1 ]; then printf '  hint: %s\n' "${@:2}" >&2; fi
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }
# need <program> <hint>: stops, naming the program, when it is missing.
need() { have "$1" || die "\`$1\` is not on PATH" "$2"; }

# at_least <version> <minimum>: compares dotted versions.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n1)" = "$2" ]; }

# sha256_is <file> <hex digest>
sha256_is() {
  local actual
  if have sha256sum; then actual=$(sha256sum "$1"); else actual=$(shasum -a 256 "$1"); fi
  [ "${actual%% *}" = "$2" ]
}

# python_at_least <major.minor>: prints a Python interpreter of that version or newer, from PATH or pyenv.
python_at_least() {
  local candidate
  for candidate in python3 python3.{20..9} "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin/python3; do
    if have "$candidate" &&
      "$candidate" -c "import sys; sys.exit(sys.version_info < tuple(map(int, '$1'.split('.'))))" 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

# rust_ready: stops with advice unless the pinned Rust (or a newer one) and a C compiler are here.
rust_ready() {
  local minimum
  minimum=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$WRIT_ROOT/Cargo.toml")
  need cargo "install Rust $minimum or newer: https://rustup.rs, or your distribution's package"
  cd "$WRIT_ROOT" || exit
  if ! cargo --version >/dev/null 2>&1; then
    # The pinned toolchain is not installed and cannot be fetched: any newer one is as good.
    export RUSTUP_TOOLCHAIN=stable
    warn "the toolchain of rust-toolchain.toml is not installed; trying \`stable\`"
  fi
  at_least "$(cargo --version 2>/dev/null | cut -d' ' -f2)" "$minimum" ||
    die "Rust $minimum or newer is needed" "run: rustup toolchain install $minimum --component clippy,rustfmt"
  have cc || have gcc || have clang ||
    die "no C compiler is on PATH" "install gcc or clang (Debian: apt-get install build-essential)"
}
