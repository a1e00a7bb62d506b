#!/usr/bin/env bash
# Makes a virtual environment and installs mmxf into it; run again, it only checks (about a second).
#
#   bash tools/install.sh [EXTRA ...]            EXTRA: tests, optional (requirements/EXTRA.txt)
#
#   . tools/install.sh; mmxf_install [EXTRA ...] from another script: the environment is active afterwards
#
# Environment:
#   MMXF_VENV  folder of the virtual environment (default: .venv in the repository). MMXF_VENV="$VIRTUAL_ENV"
#              installs into the one that is active.
#   PYTHON     the Python that makes it (default: python3 if it is 3.10-3.13, else the newest of these found)
#
# Versions come from requirements/constraints.txt; a torch that the environment has already is kept. On Linux without
# an NVIDIA GPU torch's CPU build is preferred, which spares gigabytes of CUDA.

MMXF_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
MMXF_TORCH_CPU=https://download.pytorch.org/whl/cpu

mmxf_say() { printf 'install: %s\n' "$*" >&2; }

# Whether $1 runs and is a Python that mmxf supports.
mmxf_supported() {
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

mmxf_find_python() {
    local candidate
    if [ -n "${PYTHON:-}" ]; then
        if mmxf_supported "$PYTHON"; then echo "$PYTHON"; return 0; fi
        mmxf_say "PYTHON=$PYTHON is no Python 3.10-3.13 ($("$PYTHON" --version 2>&1 | tail -n 1))"
        return 1
    fi
    for candidate in python3 python3.13 python3.12 python3.11 python3.10 python; do
        if mmxf_supported "$candidate"; then echo "$candidate"; return 0; fi
    done
    mmxf_say 'found no Python 3.10-3.13. Install one, or name it: PYTHON=/path/to/python3.12 bash tools/install.sh'
    return 1
}

mmxf_make_venv() {
    local venv=$1 python
    if [ -x "$venv/bin/python" ] && "$venv/bin/python" -c 'import pip' 2>/dev/null; then
        mmxf_supported "$venv/bin/python" && return 0
        mmxf_say "$venv holds $("$venv/bin/python" --version 2>&1); mmxf needs Python 3.10-3.13. Name another folder with MMXF_VENV."
        return 1
    fi
    if [ -e "$venv" ] && [ ! -e "$venv/pyvenv.cfg" ] && [ -n "$(ls -A "$venv" 2>/dev/null)" ]; then
        mmxf_say "$venv is there and is no virtual environment; choose another folder with MMXF_VENV"
        return 1
    fi
    python=$(mmxf_find_python) || return 1
    mmxf_say "virtual environment $venv ($("$python" --version 2>&1))"
    "$python" -m venv --clear "$venv" && return 0
    rm -rf "$venv"
    mmxf_say "$python cannot make virtual environments. On Debian and Ubuntu: sudo apt install python3-venv;"
    mmxf_say 'or name another Python: PYTHON=/path/to/python3.12 bash tools/install.sh'
    return 1
}

# Where torch's CPU build should be looked for, as arguments of pip; nothing where pip's own sources will do.
mmxf_torch_arguments() {
    [ "$(uname -s)" = Linux ] || return 0
    command -v nvidia-smi >/dev/null 2>&1 && return 0
    "$1" - "$MMXF_TORCH_CPU/torch/" <<'PYTHON' >/dev/null 2>&1 && echo "--extra-index-url $MMXF_TORCH_CPU"
import signal, sys, urllib.request
signal.alarm(5)  # a name server that never answers is beyond the reach of the timeout
urllib.request.urlopen(urllib.request.Request(sys.argv[1], method='HEAD'), timeout=3)
PYTHON
    return 0
}

# pip install, with a progress bar on a terminal and a line a package elsewhere.
mmxf_pip() {
    local python=$1
    shift
    if [ -t 1 ]; then
        "$python" -m pip install --disable-pip-version-check "$@"
    else
        "$python" -m pip install --disable-pip-version-check --progress-bar off "$@" |
            { grep --line-buffered -E '^(Collecting|Building wheels|Installing|Successfully|ERROR)' || true; }
        return "${PIPESTATUS[0]}"
    fi
}

# What an installation depends on, as a number.
mmxf_fingerprint() {
    { echo "$MMXF_ROOT $*"; "$MMXF_PYTHON" --version
      cat "$MMXF_ROOT"/requirements/*.txt "$MMXF_ROOT/setup.py" "$MMXF_ROOT/pyproject.toml" \
          "$MMXF_ROOT/mmxf/version.py"; } 2>&1 | cksum
}

# Installs mmxf with the extras given, and activates the environment. Sets MMXF_PYTHON, its interpreter.
mmxf_install() {
    local venv=${MMXF_VENV:-$MMXF_ROOT/.venv} started=$SECONDS extras target stamp fingerprint constraints arguments
    extras=$(IFS=,; echo "$*")
    target="$MMXF_ROOT${extras:+[$extras]}"
    mmxf_make_venv "$venv" || return 1
    venv=$(cd "$venv" && pwd)
    MMXF_PYTHON=$venv/bin/python
    stamp=$venv/.mmxf-${extras:-plain}
    fingerprint=$(mmxf_fingerprint "$@")
    if [ "$(cat "$stamp" 2>/dev/null)" = "$fingerprint" ] && (cd / && "$MMXF_PYTHON" -c 'import mmxf') 2>/dev/null; then
        mmxf_say "$venv is up to date"
    else
        rm -f "$stamp"
        constraints=$(mktemp) || return 1
        if "$MMXF_PYTHON" -c 'import importlib.metadata as m; m.version("torch")' 2>/dev/null; then
            grep -v '^torch==' "$MMXF_ROOT/requirements/constraints.txt" > "$constraints"
            arguments=
        else
            cat "$MMXF_ROOT/requirements/constraints.txt" > "$constraints"
            arguments=$(mmxf_torch_arguments "$MMXF_PYTHON")
            mmxf_say "torch from ${arguments:+$MMXF_TORCH_CPU (CPU build) or }pip's usual sources"
        fi
        mmxf_say 'packages: one to three minutes the first time'
        # shellcheck disable=SC2086  # the arguments are words
        if ! mmxf_pip "$MMXF_PYTHON" $arguments -c "$constraints" -e "$target"; then
            if [ -z "$arguments" ] || ! { mmxf_say "once more, from pip's usual sources only"
                                          mmxf_pip "$MMXF_PYTHON" -c "$constraints" -e "$target"; }; then
                rm -f "$constraints"
                mmxf_say "pip failed (above). Its sources: $("$MMXF_PYTHON" -m pip config list | tr '\n' ' ')"
                return 1
            fi
        fi
        rm -f "$constraints"
        # OpenCV's build with windows needs graphics libraries that servers lack.
        (cd "$MMXF_ROOT" && "$MMXF_PYTHON" -m mmxf.environment --mend) >&2 || return 1
        echo "$fingerprint" > "$stamp"
        mmxf_say "mmxf is installed in $venv, in $((SECONDS - started)) s"
    fi
    export VIRTUAL_ENV=$venv PATH="$venv/bin:$PATH"
    unset PYTHONHOME
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    set -euo pipefail
    mmxf_install "$@"
    mmxf_say "use it with: . $VIRTUAL_ENV/bin/activate"
fi
