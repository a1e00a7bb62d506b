"""Lifting of 2-D pose sequences to 3-D: one wrapper around a network of windows, or a diffusion model of them.

Sample contract. Inputs are 2-D joints (T, K, 2) in normalised image coordinates (`normalise_screen` of
mmxf.structures.cameras): windows of one length in training, videos of any length in test. A data sample is mmengine's
BaseDataElement; in training it holds `gt_keypoints_3d` (F, K, 3), metres in the camera's frame, relative to the root. Results are
`pred_keypoints_3d` (T, K, 3), and for the official evaluation `pred_windows` (W, F, K, 3) and `window_frames` (W, F), with a
diffusion model `pred_hypotheses` (W, H, F, K, 3).
"""
from collections.abc import Sequence

import torch
from mmengine.model import BaseDataPreprocessor, BaseModel
from mmengine.structures import BaseDataElement
from torch import Tensor

from mmxf.registry import MODELS
from mmxf.structures.cameras import fit_root
from mmxf.structures.skeleton import Skeleton, mirror


@MODELS.register_module()
class PosePreprocessor(BaseDataPreprocessor):
    """Stacks windows to (B, F, K, 2); videos of several lengths stay a list."""

    def forward(self, data: dict, training: bool = False) -> dict:
        """dict(inputs: list of (T, K, 2), data_samples) to the same on the model's device.

        Raises:
            ValueError: for windows of several lengths in training.
        """
        data = self.cast_data(data)
        inputs = list(data['inputs'])
        if len({tuple(x.shape) for x in inputs}) == 1:
            inputs = torch.stack(inputs)
        elif training:
            raise ValueError(f'windows of several shapes in one batch: {sorted({tuple(x.shape) for x in inputs})}')
        return dict(inputs=inputs, data_samples=data.get('data_samples'))


@MODELS.register_module()
class PoseLifter(BaseModel):
    """A network that lifts windows of `num_frames` frames.

    Args:
        backbone: config of the network (KTPFormer) or of a PoseDiffusion.
        loss: config; gets predicted and true windows.
        skeleton: the data set's: mirror pairs and root.
        flip_test: averages each window with its mirror image in test.
        zero_root: sets the root of predictions to zero, as D3DP does; KTPFormer leaves it as predicted.
        aggregation: of hypotheses: 'jpma', joint by joint the one that reprojects best (needs the camera's intrinsics; without,
            the mean), or 'mean'.
        root: where a hypothesis stands for 'jpma': 'true' (from the data set, as the official evaluation has it) or 'fit' (to the
            2-D joints, which needs no ground truth); 'true' falls back to 'fit' where there is none.
        windows_per_batch: how many windows, mirrored ones counted, go through the network at once in test.
        data_preprocessor: config.
        init_cfg: mmengine's.

    Raises:
        ValueError: for an unknown aggregation or root.
    """

    def __init__(self, backbone: dict, loss: dict, skeleton: dict, *, flip_test: bool = True, zero_root: bool = False,
                 aggregation: str = 'jpma', root: str = 'true', windows_per_batch: int = 8,
                 data_preprocessor: dict | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(MODELS.build(data_preprocessor or dict(type='PosePreprocessor')), init_cfg)
        if aggregation not in ('jpma', 'mean') or root not in ('true', 'fit'):
            raise ValueError(f"aggregation must be 'jpma' or 'mean' and root 'true' or 'fit'; got {aggregation!r}, {root!r}")
        self.backbone = MODELS.build(backbone)
        self.loss = MODELS.build(loss)
        self.skeleton = Skeleton.from_metainfo(skeleton)
        self.flip_test, self.zero_root, self.windows_per_batch = flip_test, zero_root, windows_per_batch
        self.aggregation, self.root = aggregation, root

    @property
    def num_frames(self) -> int:
        """Of a window."""
        return self.backbone.num_frames

    def forward(self, inputs: Tensor | Sequence[Tensor], data_samples: list[BaseDataElement] | None = None,
                mode: str = 'tensor'):
        """Lifts windows or videos.

        Args:
            inputs: (B, T, K, 2), or a list of (T, K, 2); windows for 'tensor', and windows or a list of videos for 'loss'.
            data_samples: with targets for 'loss'; for 'predict' they are filled.
            mode: 'tensor' for (B, F, K, 3), 'loss' for a dict of losses, 'predict' for data samples.

        Raises:
            ValueError: for an unknown mode, or joints that are not the skeleton's.
        """
        for points in inputs if not isinstance(inputs, Tensor) else inputs[:1]:
            if points.dim() != 3 or points.shape[1:] != (len(self.skeleton), 2):
                raise ValueError(f'the model lifts {len(self.skeleton)} joints, (T, {len(self.skeleton)}, 2); got '
                                 f'{tuple(points.shape)}')
        diffusion = getattr(self.backbone, 'is_diffusion', False)
        if mode == 'loss':
            inputs, target = self._windows(inputs, [sample.gt_keypoints_3d for sample in data_samples])
            predicted = self.backbone(inputs, target) if diffusion else self.backbone(inputs)
            return self.loss(predicted, target)
        if mode == 'tensor':
            if diffusion:   # one pass of the network, as for counting
                noise = inputs.new_zeros(*inputs.shape[:-1], 3)
                return self.backbone.denoiser(inputs, noise, inputs.new_zeros(len(inputs), dtype=torch.long))
            return self.backbone(inputs)
        if mode == 'predict':
            return self._predict(inputs, data_samples or [BaseDataElement() for _ in inputs])
        raise ValueError(f"mode must be 'tensor', 'loss' or 'predict', got {mode!r}")

    def _windows(self, videos: Sequence[Tensor], targets: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """(B, T, K, 2) and (B, T, K, 3); videos, which a validation has, are cut as for predicting."""
        if all(len(video) == self.num_frames for video in videos):
            return videos if isinstance(videos, Tensor) else torch.stack(list(videos)), torch.stack(list(targets))
        frames = [window_frames(len(video), self.num_frames).to(video.device) for video in videos]
        return (torch.cat([video[index] for video, index in zip(videos, frames)]),
                torch.cat([target[index] for target, index in zip(targets, frames)]))

    def _predict(self, videos: Sequence[Tensor], samples: list[BaseDataElement]) -> list[BaseDataElement]:
        """Cuts videos into windows, lifts them in batches that may span videos, and puts them together."""
        frames = [window_frames(len(video), self.num_frames).to(video.device) for video in videos]
        windows = torch.cat([video[index] for video, index in zip(videos, frames)])             # (W, F, K, 2)
        lifted = self._lift(windows).split([len(index) for index in frames])
        for sample, video, index, poses in zip(samples, videos, frames, lifted):
            if poses.dim() == 5:
                sample.pred_hypotheses = poses
                poses = self._aggregate(poses, video[index], index, sample)
            sample.pred_windows, sample.window_frames = poses, index
            whole = poses.new_zeros(len(video), *poses.shape[2:])
            # The last window overlaps the one before: those of the earlier window stay.
            whole[index.flip(0).reshape(-1)] = poses.flip(0).flatten(0, 1)
            sample.pred_keypoints_3d = whole
        return samples

    def _lift(self, windows: Tensor) -> Tensor:
        """(W, F, K, 2) to (W, F, K, 3), or to hypotheses (W, H, F, K, 3)."""
        order = self.skeleton.mirror_order()
        diffusion = getattr(self.backbone, 'is_diffusion', False)
        size = max(1, self.windows_per_batch // (1 + (self.flip_test and not diffusion)))
        results = []
        for part in windows.split(size):
            mirrored = mirror(part, order) if self.flip_test else None
            if diffusion:
                lifted = self.backbone.sample(part, mirrored, order)
            elif self.flip_test:
                plain, seen = self.backbone(torch.cat([part, mirrored])).float().chunk(2)
                lifted = (plain + mirror(seen, order)) / 2
            else:
                lifted = self.backbone(part).float()
            results.append(lifted)
        poses = torch.cat(results)
        if self.zero_root and len(self.skeleton.root_joints) == 1:
            poses[..., self.skeleton.root_joints[0], :] = 0
        return poses

    def _aggregate(self, hypotheses: Tensor, points: Tensor, frames: Tensor, sample: BaseDataElement) -> Tensor:
        """(W, H, F, K, 3) to (W, F, K, 3)."""
        intrinsics = sample.get('intrinsics')
        if self.aggregation == 'mean' or intrinsics is None:
            return hypotheses.mean(1)
        from mmxf.models.ktpformer.diffusion import aggregate_by_reprojection

        intrinsics = torch.as_tensor(intrinsics, dtype=hypotheses.dtype, device=hypotheses.device)
        if self.root == 'true' and 'gt_root' in sample:
            root = sample.gt_root.to(hypotheses)[frames]                                        # (W, F, 1, 3)
        else:
            root = fit_root(hypotheses, points[:, None].expand(*hypotheses.shape[:-1], 2), intrinsics)
        return aggregate_by_reprojection(hypotheses, root, points, intrinsics)


def window_frames(length: int, size: int) -> Tensor:
    """(W, size) frames of a video of `length`, window by window.

    Windows do not overlap, but the last holds the last frames of the video; a video shorter than a window repeats its last frame.
    """
    if length <= size:
        return torch.arange(size).clamp(max=length - 1)[None]
    starts = torch.arange(0, length, size).clamp(max=length - size)
    return starts[:, None] + torch.arange(size)
