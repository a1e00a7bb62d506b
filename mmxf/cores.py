"""How much of the machine there is for this process."""
import os


def available_cores() -> int:
    """Those that the process may run on, of which a job or a container has fewer than the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
