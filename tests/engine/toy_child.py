"""What a process of a training run does. A module of its own name: processes find functions by module, and every folder
of tests has a conftest."""
import os
from pathlib import Path


def train_in_child(kwargs: dict, environment: dict) -> None:
    """Trains with kwargs of toy_training.train; all output goes to output.txt of the work_dir."""
    os.environ.update(environment)
    with open(Path(kwargs['work_dir']) / 'output.txt', 'a') as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        import toy_training
        toy_training.train(**kwargs)
