#!/usr/bin/env bash
# Makes .venv exactly what requirements.lock and requirements-dev.lock say, with hashes checked, and Kairos itself on top.
# Safe to repeat: a second run only corrects what differs. Packages come from the machine's own index settings.
# `bootstrap.sh browser` only sees to the browser that the tests of the web pages drive.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export UV_PYTHON_DOWNLOADS=never   # an interpreter comes from the machine, never from the network
ready=.venv/.ready

fail() { printf 'error: %s\n' "$1" >&2; exit 1; }

is_python311() { "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' >/dev/null 2>&1; }

# The interpreter to build on: the first Python 3.11 on PATH, whatever it is called.
find_python() {
    local name
    for name in python3.11 python3 python; do
        if is_python311 "$name"; then command -v "$name"; return; fi
    done
    if command -v uv >/dev/null && uv python find --quiet 3.11 2>/dev/null; then return; fi
    fail "Kairos needs Python 3.11 and none is on PATH; on Debian 12: apt-get install -y python3"
}

# One Debian package, installed when we may, otherwise asked for in one line.
require_debian_package() {
    local package=$1 why=$2
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing $package ($why)"
        if { DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" ||
             { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package"; }
           } >/dev/null 2>&1; then return; fi
    fi
    fail "$why; install it and try again: apt-get install -y $package"
}

# uv in a folder of its own inside .venv, so that nothing of it reaches the environment or the machine.
# A bare Debian has no ensurepip (so no venv) and keeps pip out of its own Python (PEP 668): try both doors.
install_uv() {
    local folder=.venv/uv
    rm -rf "$folder"
    if "$python" -m venv "$folder" >/dev/null 2>&1; then
        "$folder/bin/python" -m pip install --quiet uv >&2 || fail "could not install uv from the package index; check the network and pip's index settings"
        return
    fi
    rm -rf "$folder"
    "$python" -m pip install --quiet --target "$folder" --break-system-packages uv >/dev/null 2>&1
}

find_uv() {
    if command -v uv >/dev/null && uv --version >/dev/null 2>&1; then uv=uv; return; fi
    uv=.venv/uv/bin/uv
    if "$uv" --version >/dev/null 2>&1; then return; fi
    install_uv && return
    require_debian_package python3-venv "this Python can make no virtual environment"
    install_uv || fail "could not install uv from the package index; check the network and pip's index settings"
}

if [ "${1:-}" = browser ]; then
    command -v chromium >/dev/null || require_debian_package chromium "the tests of the web pages drive a real browser"
    exit
fi

python=$(find_python)
is_python311 .venv/bin/python || rm -rf .venv   # an environment whose interpreter is gone cannot be repaired
find_uv

echo "Setting up .venv from requirements.lock and requirements-dev.lock (about 1.8 GB, once)"
rm -f "$ready"
[ -x .venv/bin/python ] || "$uv" venv --quiet --allow-existing --python "$python" .venv
"$uv" pip sync --quiet --python .venv/bin/python --require-hashes requirements.lock requirements-dev.lock
"$uv" pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .

# LightGBM is linked against the OpenMP runtime, which a bare Debian lacks.
finds_openmp() { .venv/bin/python -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' 2>/dev/null; }
[ "$(uname -s)" != Linux ] || finds_openmp || require_debian_package libgomp1 "LightGBM needs the OpenMP runtime libgomp.so.1"

touch "$ready"
