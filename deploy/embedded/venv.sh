#!/bin/sh
# Creates the virtual environment $1 if it is missing, with the interpreter PYTHON or else the first fitting one on PATH,
# and installs the pinned and hashed requirement files that follow.
# Everything it says goes to stderr, so that `make token` prints a token and nothing else.
set -eu
exec >&2

venv=$1
shift

fail() {
    echo "parley: $*" >&2
    exit 1
}

find_python() {
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail "Python 3.11 or newer is needed, and none was found as ${PYTHON:-python3, python3.13, python3.12 or python3.11}" \
        "(Debian 12, Ubuntu 24.04: sudo apt-get install python3 python3-venv)"
}

# Debian and Ubuntu keep what `python3 -m venv` needs in a package of its own.
need_ensurepip() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null && return
    package=$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    echo "parley: $1 cannot create virtual environments yet: installing $package"
    if [ "$(id -u)" = 0 ]; then as_root=; else as_root="sudo -n"; fi
    command -v apt-get >/dev/null && $as_root apt-get update -qq &&
        $as_root apt-get install -y -qq --no-install-recommends "$package" ||
        fail "$1 lacks the module ensurepip; install it (Debian, Ubuntu: sudo apt-get install $package) and try again"
}

if [ ! -x "$venv/bin/pip" ]; then
    python=$(find_python) || exit 1
    need_ensurepip "$python"
    echo "creating $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv"
fi

set -- $(printf -- '-r %s ' "$@")
echo "installing into $venv: $*"
"$venv/bin/python" -m pip install --disable-pip-version-check --no-input --require-hashes "$@"
