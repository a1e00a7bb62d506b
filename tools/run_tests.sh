#!/usr/bin/env bash
# Installs what is missing and runs the whole test-suite:
#   bash tools/run_tests.sh [arguments of pytest]
# Environment: MMXF_VENV and PYTHON as in tools/install.sh; MMXF_REAL_DATA, a folder of real labelled samples, without
# which the tests that read them skip; MMXF_TEST_WORKERS, processes (default: one a core that has 3 GB, at most 8).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/install.sh"
cd "$MMXF_ROOT"
mmxf_install tests

workers=${MMXF_TEST_WORKERS:-$(python - <<'PYTHON'
import os
cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
try:
    free = next(int(line.split()[1]) for line in open('/proc/meminfo') if line.startswith('MemAvailable'))
except (OSError, StopIteration):
    free = 8 << 20
print(max(1, min(cores, free // (3 << 20), 8)))
PYTHON
)}
# One thread a process: the processes are the parallelism.
[ "$workers" -gt 1 ] && export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} MKL_NUM_THREADS=${MKL_NUM_THREADS:-1}
[ "$workers" -gt 1 ] || workers=0

style=0
python -m ruff check . || style=$?
python -m pytest -n "$workers" --dist loadfile --no-loadscope-reorder "$@" || { status=$?; exit "$status"; }
exit "$style"
