"""What a process of a training run does. A module of its own name: processes find functions by module, and every folder
of tests has a conftest."""
import os
import signal
import threading
import time
from pathlib import Path


def train_in_child(kwargs: dict, environment: dict, death: tuple[str, float] | None = None) -> None:
    """Trains with kwargs of toy_training.train; all output goes to output.txt of the work_dir.

    Args:
        death: a file of the work_dir, and seconds: so long after the file has appeared the process kills itself, wherever
            the training is by then. The process does not end before.
    """
    os.environ.update(environment)
    folder = Path(kwargs['work_dir'])
    with open(folder / 'output.txt', 'a') as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        import toy_preload
        import toy_training
        for owner, name, value in toy_preload.SHORTCUTS:
            setattr(owner, name, value)
        if 'RENDEZVOUS' in environment:  # a file, for a port that was free may be taken by the time it is used
            import torch.distributed
            torch.distributed.init_process_group('gloo', init_method=environment['RENDEZVOUS'],
                                                 rank=int(environment['RANK']), world_size=int(environment['WORLD_SIZE']))
        # A daemon, so that a training that fails before the file appears ends, too.
        killer = threading.Thread(target=kill_this_process, args=(folder / death[0], death[1]), daemon=True) if death else None
        if killer:
            killer.start()
        toy_training.train(**kwargs)
        if killer:
            killer.join()


def kill_this_process(sign: Path, seconds: float) -> None:
    """SIGKILL, ``seconds`` after ``sign`` has appeared: by itself, for its parent may be late when the machine is busy."""
    while not sign.exists():
        time.sleep(0.002)
    time.sleep(seconds)
    os.kill(os.getpid(), signal.SIGKILL)
