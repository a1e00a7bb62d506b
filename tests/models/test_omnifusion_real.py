"""OmniFusion learns one real panorama by heart, read as the official loader reads it."""
import pytest
import torch
from mmengine.dataset import pseudo_collate

import mmxf  # noqa: F401
from mmxf.evaluation.metrics import DepthMetric
from mmxf.registry import DATASETS, MODELS


@pytest.mark.slow
def test_the_real_panorama_is_learned(real_data, tmp_path):
    (tmp_path / 'split.txt').write_text('depth360_sample/matterport3d_rgb.png depth360_sample/matterport3d_depth_mm_u16.png\n')
    dataset = DATASETS.build(dict(
        type='mmxf.Matterport3D', data_root=str(real_data), ann_file=str(tmp_path / 'split.txt'), depth_scale=1000,
        depth_range=(0.1, 12.0),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='mmxf.LoadDepth'), dict(type='mmxf.ResizeDepth', size=(64, 128)),
                  dict(type='mmxf.LimitDepth'), dict(type='mmxf.PackDepthInputs')]))
    torch.manual_seed(0)
    model = MODELS.build(dict(
        type='mmxf.DepthEstimator',
        data_preprocessor=dict(type='mmxf.DepthPreprocessor', mean=(127.5,) * 3, std=(64.0,) * 3),
        backbone=dict(type='mmxf.OmniFusion', patch_size=32, encoder=dict(type='mmxf.DepthResNet', depth=18, base_channels=16),
                      transformer=dict(type='mmxf.PatchTransformer', depth=1),
                      decoder=dict(type='mmxf.DepthDecoder', channels=((64, 64), (64, 32), (32, 32), (32, 16), (16,)))),
        losses=dict(depth=dict(type='mmxf.BerHuLoss'))))
    batch = pseudo_collate([dataset[0]])
    steps = 150
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in range(steps):
        data = model.data_preprocessor(batch, True)
        loss = model(data['inputs'], data['data_samples'], mode='loss')['loss_depth']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    # Weights move fast until the end; the norms' running statistics are those of the last steps.
    for part in model.modules():
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
            part.momentum = None
            part.reset_running_stats()
    data = model.data_preprocessor(batch, True)
    with torch.no_grad():
        model(data['inputs'])
    model.eval()
    metric = DepthMetric(align=None)
    with torch.no_grad():
        samples = model.test_step(batch)
    metric.process({}, [sample.to_dict() for sample in samples])
    found = metric.compute_metrics(metric.results)
    assert found['AbsRel'] < 0.05, found
    assert found['d1'] > 0.97
