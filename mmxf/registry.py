"""mmxf's registries: children of mmengine's, so that names of mmdet, mmseg and mmcv resolve with their prefix
(``mmdet.ResNet``) and ours without (``default_scope = 'mmxf'``)."""
from mmxf.environment import check_stack

check_stack()    # says what is missing, before an import fails deep inside

from mmengine import registry as engine  # noqa: E402
from mmengine.registry import Registry  # noqa: E402

# Backbones, necks, heads, losses and the task wrappers that hold them.
MODELS = Registry('model', parent=engine.MODELS, scope='mmxf',
                  locations=['mmxf.models', 'mmxf.tasks', 'mmxf.losses', 'mmxf.layers'])
# Matchers, assigners and other parts of a task that are no modules with weights.
TASK_UTILS = Registry('task util', parent=engine.TASK_UTILS, scope='mmxf', locations=['mmxf.matchers'])
# Datasets that read official trees, and the built-in MiniWorld.
DATASETS = Registry('dataset', parent=engine.DATASETS, scope='mmxf', locations=['mmxf.datasets'])
# Loading, augmentation and packing of samples.
TRANSFORMS = Registry('transform', parent=engine.TRANSFORMS, scope='mmxf', locations=['mmxf.datasets.transforms'])
# Evaluation metrics.
METRICS = Registry('metric', parent=engine.METRICS, scope='mmxf', locations=['mmxf.evaluation.metrics'])
# Hooks of the training and test loops.
HOOKS = Registry('hook', parent=engine.HOOKS, scope='mmxf', locations=['mmxf.engine'])
# What decides learning rate and weight decay of each parameter.
OPTIM_WRAPPER_CONSTRUCTORS = Registry('optimizer wrapper constructor', parent=engine.OPTIM_WRAPPER_CONSTRUCTORS,
                                      scope='mmxf', locations=['mmxf.engine'])
# Mixed precision in the type that suits the machine.
OPTIM_WRAPPERS = Registry('optim wrapper', parent=engine.OPTIM_WRAPPERS, scope='mmxf', locations=['mmxf.engine'])
# Schedules of learning rate and momentum.
PARAM_SCHEDULERS = Registry('parameter scheduler', parent=engine.PARAM_SCHEDULERS, scope='mmxf',
                            locations=['mmxf.engine'])
# What decides the order of training samples and their random draws.
DATA_SAMPLERS = Registry('data sampler', parent=engine.DATA_SAMPLERS, scope='mmxf', locations=['mmxf.engine'])
# Training loops.
LOOPS = Registry('loop', parent=engine.LOOPS, scope='mmxf', locations=['mmxf.engine'])
# Visualisers.
VISUALIZERS = Registry('visualizer', parent=engine.VISUALIZERS, scope='mmxf', locations=['mmxf.visualization'])
# Where scalars and pictures of a run go.
VISBACKENDS = Registry('vis backend', parent=engine.VISBACKENDS, scope='mmxf', locations=['mmxf.visualization.trackers'])

# mmxf adds nothing to these; children all the same, or mmengine would complain that our scope has none.
OPTIMIZERS = Registry('optimizer', parent=engine.OPTIMIZERS, scope='mmxf', locations=['mmxf.registry'])
MODEL_WRAPPERS = Registry('model wrapper', parent=engine.MODEL_WRAPPERS, scope='mmxf', locations=['mmxf.registry'])
LOG_PROCESSORS = Registry('log processor', parent=engine.LOG_PROCESSORS, scope='mmxf', locations=['mmxf.registry'])
EVALUATOR = Registry('evaluator', parent=engine.EVALUATOR, scope='mmxf', locations=['mmxf.registry'])
WEIGHT_INITIALIZERS = Registry('weight initializer', parent=engine.WEIGHT_INITIALIZERS, scope='mmxf', locations=['mmxf.registry'])
