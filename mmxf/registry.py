"""mmxf's registries: children of mmengine's, so that names of mmdet, mmseg and mmcv resolve with their prefix
(``mmdet.ResNet``) and ours without (``default_scope = 'mmxf'``)."""
from mmengine.registry import DATA_SAMPLERS as ENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as ENGINE_DATASETS
from mmengine.registry import HOOKS as ENGINE_HOOKS
from mmengine.registry import LOOPS as ENGINE_LOOPS
from mmengine.registry import METRICS as ENGINE_METRICS
from mmengine.registry import MODELS as ENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as ENGINE_OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.registry import PARAM_SCHEDULERS as ENGINE_PARAM_SCHEDULERS
from mmengine.registry import TASK_UTILS as ENGINE_TASK_UTILS
from mmengine.registry import TRANSFORMS as ENGINE_TRANSFORMS
from mmengine.registry import VISUALIZERS as ENGINE_VISUALIZERS
from mmengine.registry import Registry

# Backbones, necks, heads, losses and the task wrappers that hold them.
MODELS = Registry('model', parent=ENGINE_MODELS, scope='mmxf',
                  locations=['mmxf.models', 'mmxf.tasks', 'mmxf.losses', 'mmxf.layers'])
# Matchers, assigners and other parts of a task that are no modules with weights.
TASK_UTILS = Registry('task util', parent=ENGINE_TASK_UTILS, scope='mmxf', locations=['mmxf.matchers'])
# Datasets that read official trees, and the built-in MiniWorld.
DATASETS = Registry('dataset', parent=ENGINE_DATASETS, scope='mmxf', locations=['mmxf.datasets'])
# Loading, augmentation and packing of samples.
TRANSFORMS = Registry('transform', parent=ENGINE_TRANSFORMS, scope='mmxf', locations=['mmxf.datasets.transforms'])
# Evaluation metrics.
METRICS = Registry('metric', parent=ENGINE_METRICS, scope='mmxf', locations=['mmxf.evaluation'])
# Hooks of the training and test loops.
HOOKS = Registry('hook', parent=ENGINE_HOOKS, scope='mmxf', locations=['mmxf.engine'])
# What decides learning rate and weight decay of each parameter.
OPTIM_WRAPPER_CONSTRUCTORS = Registry('optimizer wrapper constructor', parent=ENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
                                      scope='mmxf', locations=['mmxf.engine'])
# Schedules of learning rate and momentum.
PARAM_SCHEDULERS = Registry('parameter scheduler', parent=ENGINE_PARAM_SCHEDULERS, scope='mmxf',
                            locations=['mmxf.engine'])
# What decides the order of training samples and their random draws.
DATA_SAMPLERS = Registry('data sampler', parent=ENGINE_DATA_SAMPLERS, scope='mmxf', locations=['mmxf.engine'])
# Training loops.
LOOPS = Registry('loop', parent=ENGINE_LOOPS, scope='mmxf', locations=['mmxf.engine'])
# Visualisers.
VISUALIZERS = Registry('visualizer', parent=ENGINE_VISUALIZERS, scope='mmxf', locations=['mmxf.visualization'])
