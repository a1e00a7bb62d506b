# What every run has in common, whatever the paper and the data.
default_scope = 'mmxf'

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='AtomicCheckpointHook', by_epoch=False, interval=5000, max_keep_ckpts=3),
    sampler_seed=dict(type='DistSamplerSeedHook'))
custom_hooks = [
    dict(type='ClassCountHook'),
    dict(type='DataCheckHook'),
    dict(type='LoadReportHook'),
    dict(type='NonFiniteLossHook', patience=5),    # steps in a row that are left out before the run stops
    dict(type='Float32LossHook'),
    dict(type='ForecastHook'),
    dict(type='ProgressHook'),
    dict(type='InputProfilerHook'),
    dict(type='PreemptionHook'),    # SIGTERM, SIGUSR1: save, and leave with status 75
]

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))
vis_backends = [dict(type='LocalVisBackend')]     # one line for more: docs/commands.md
visualizer = dict(type='Visualizer', vis_backends='${vis_backends}')
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=False)
log_level = 'INFO'
resume = False
