"""Pictures of lifted poses at a test, and of the windows of a data set."""
from types import SimpleNamespace

import cv2
import numpy as np
import torch
from mmengine.structures import BaseDataElement

from mmxf.datasets.check import pose
from mmxf.datasets.check.report import Report
from mmxf.datasets.pose_metainfo import H36M_METAINFO
from mmxf.engine.hooks.visualization_hook import PanopticVisualizationHook
from mmxf.structures.skeleton import Skeleton


def test_a_test_draws_true_and_predicted_poses(tmp_path):
    poses = torch.rand(30, 17, 3, generator=torch.Generator().manual_seed(0)) - 0.5
    sample = BaseDataElement(metainfo=dict(subject='S9', action='Walking 1', camera=2), pred_keypoints_3d=poses,
                             gt_keypoints_3d=poses)
    loader = SimpleNamespace(batch_size=1, dataset=SimpleNamespace(metainfo=H36M_METAINFO))
    runner = SimpleNamespace(test_dataloader=loader, work_dir=tmp_path)
    hook = PanopticVisualizationHook(out_dir='pictures')
    hook.after_test_iter(runner, 0, outputs=[sample])
    hook.after_test_iter(runner, 1, outputs=[BaseDataElement(metainfo=sample.metainfo, pred_keypoints_3d=poses)])
    both, alone = (cv2.imread(str(tmp_path / f'pictures/0000{i}_S9_Walking_1_2.png')) for i in (0, 1))
    assert both.shape[1] > 1.5 * alone.shape[1]
    assert (alone < 200).any(-1).mean() > 0.01, 'bones'


def test_mirrored_windows_are_shown_mirrored():
    report = Report('train')
    report.skeleton = Skeleton.from_metainfo(H36M_METAINFO)
    points = np.random.default_rng(0).random((4, 17, 2))
    plain, mirrored = (pose.check(dict(keypoints_2d=points, mirrored=m), report)[0] for m in (False, True))
    np.testing.assert_array_equal(mirrored, plain * [-1, 1])
