#!/usr/bin/env bash
# One command from nothing to a trained panoptic model: makes .venv, installs, writes MiniWorld, trains, tests, draws.
#   bash tools/quickstart.sh [arguments of `mmxf quickstart`]
# Environment: MMXF_VENV and PYTHON as in tools/install.sh. Run again, it resumes, or says that it is done.
set -euo pipefail
start=$(date +%s)
. "$(dirname "${BASH_SOURCE[0]}")/install.sh"
cd "$MMXF_ROOT"
mmxf_install
exec python -m mmxf.cli quickstart --seconds-install $(($(date +%s) - start)) "$@"
