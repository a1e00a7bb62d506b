"""The registries of this room that mmxf/registry.py does not hold: loops and data samplers.

They are looked up first, so that both files can define them without clashing.
"""
from mmengine.registry import DATA_SAMPLERS as ENGINE_DATA_SAMPLERS
from mmengine.registry import LOOPS as ENGINE_LOOPS
from mmengine.registry import Registry

from mmxf import registry as _rooms  # noqa: F401  the child registries of the other rooms


def _child(parent: Registry, name: str) -> Registry:
    known = parent.children.get('mmxf')
    if known is not None:  # an empty Registry is falsy, so no `or`
        return known
    return Registry(name, parent=parent, scope='mmxf', locations=['mmxf.engine'])


# What decides order and random draws of training samples.
DATA_SAMPLERS = _child(ENGINE_DATA_SAMPLERS, 'data sampler')
# Training loops.
LOOPS = _child(ENGINE_LOOPS, 'loop')
