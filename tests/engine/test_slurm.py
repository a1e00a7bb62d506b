"""What a process that srun has started makes of slurm's variables."""
import os

import pytest

from mmxf.engine.slurm import first_host, join_slurm_step

TORCH = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT')
# As slurm 22.05 sets them for the last of 4 processes on the second of a step's two nodes.
STEP = {'SLURM_JOB_ID': '1001', 'SLURM_STEP_ID': '0', 'SLURM_PROCID': '3', 'SLURM_LOCALID': '1', 'SLURM_NTASKS': '4',
        'SLURM_STEP_NUM_TASKS': '4', 'SLURM_JOB_NODELIST': 'gpu[001-003]', 'SLURM_NODELIST': 'gpu[001-003]',
        'SLURM_STEP_NODELIST': 'gpu[002-003]'}


@pytest.fixture
def environment(monkeypatch):
    """environment(**variables) -> torch's variables after join_slurm_step in a process that has only these of slurm."""

    def join(launcher='slurm', **variables) -> dict:
        with monkeypatch.context() as patch:
            for name in [*TORCH, *(name for name in os.environ if name.startswith('SLURM_'))]:
                patch.delenv(name, raising=False)
            for name, value in variables.items():
                patch.setenv(name, value)
            join_slurm_step(launcher)
            found = {name: os.environ[name] for name in TORCH if name in os.environ}
            for name in TORCH:  # what join_slurm_step has set is not the patch's to take back
                os.environ.pop(name, None)
        return found

    return join


@pytest.mark.parametrize('nodes, first', [
    ('vm', 'vm'),
    ('gpu[003-007,12],login', 'gpu003'),
    ('gpu[9,11-12]', 'gpu9'),
    ('rack[2-3]node[01-16]', 'rack2node01'),
    ('a1.site.org,b[1-2]', 'a1.site.org'),
])
def test_first_host(nodes, first):
    assert first_host(nodes) == first


def test_ranks_and_the_meeting_place(environment):
    found = environment(**STEP)
    assert {name: found[name] for name in TORCH[:4]} == {
        'RANK': '3', 'WORLD_SIZE': '4', 'LOCAL_RANK': '1', 'MASTER_ADDR': 'gpu002'}
    found = environment(**STEP, MASTER_ADDR='10.0.0.1', MASTER_PORT='7', RANK='0', LOCAL_RANK='0')
    assert found == {'RANK': '3', 'WORLD_SIZE': '4', 'LOCAL_RANK': '1', 'MASTER_ADDR': '10.0.0.1', 'MASTER_PORT': '7'}


def test_nothing_outside_of_a_step(environment):
    assert environment('none', **STEP) == environment('pytorch', **STEP) == {}
    script = {name: value for name, value in STEP.items() if 'STEP' not in name} | {'SLURM_PROCID': '0', 'SLURM_LOCALID': '0'}
    assert environment(**script) == {}, 'a batch script has slurm\'s variables of a task, too, and is alone'


def test_jobs_have_ports_of_their_own(environment):
    ports = [environment(**STEP | {'SLURM_JOB_ID': job, 'SLURM_STEP_ID': step, 'SLURM_PROCID': rank})['MASTER_PORT']
             for job, step, rank in (('1001', '0', '0'), ('1001', '1', '0'), ('1002', '0', '0'), ('1001', '0', '3'))]
    assert len(set(ports)) == 3 and ports[0] == ports[3], 'all processes of a step find the same'
    assert all(20000 <= int(port) < 32768 for port in ports)
