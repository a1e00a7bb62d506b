"""Lifting by denoising (D3DP, arXiv:2303.11579): a pose transformer that turns noise into several hypotheses of a pose."""
import math
from functools import lru_cache

import torch
from torch import Tensor, nn

from mmxf.registry import MODELS

from .backbone import KTPFormer
from .schedule import cosine_schedule


@MODELS.register_module()
class PoseDenoiser(KTPFormer):
    """A KTPFormer that sees 2-D pose and noisy 3-D pose of each joint, and is told the time step.

    Args:
        Those of KTPFormer; joints have two channels of the image and three of the noisy pose.
    """

    def __init__(self, skeleton: dict, num_frames: int = 243, channels: int = 512, depth: int = 8, num_heads: int = 8,
                 mlp_ratio: float = 2.0, drop_path: float = 0.1, spatial_prior: dict | None = None,
                 temporal_prior: dict | None = None, recompute_blocks: bool = False) -> None:
        super().__init__(skeleton, num_frames, channels, depth, num_heads, mlp_ratio, drop_path, spatial_prior,
                         temporal_prior, in_channels=5, recompute_blocks=recompute_blocks)
        self.time_mlp = nn.Sequential(nn.Identity(), nn.Linear(channels, 2 * channels), nn.GELU(),
                                      nn.Linear(2 * channels, channels))

    def forward(self, points: Tensor, noisy: Tensor, step: Tensor) -> Tensor:
        """(B, F, K, 2) points, (B, F, K, 3) noisy poses and (B,) steps to clean poses (B, F, K, 3)."""
        condition = self.time_mlp(step_embedding(step, self.channels))
        return super().forward(torch.cat([points, noisy], -1), condition)


@lru_cache(maxsize=64)      # numbers that an export needs before its tensors lose theirs
def sample_times(num_steps: int, sampling_steps: int) -> tuple[int, ...]:
    """The time steps of DDIM, from noise to -1, which stands for clean."""
    return tuple(torch.linspace(-1, num_steps - 1, sampling_steps + 1).int().tolist()[::-1])


def step_embedding(step: Tensor, channels: int) -> Tensor:
    """(B,) steps to (B, C) sines and cosines."""
    half = channels // 2
    rate = torch.exp(torch.arange(half, device=step.device) * -(math.log(10000) / (half - 1)))
    angle = step[:, None] * rate[None]
    return torch.cat([angle.sin(), angle.cos()], -1)


@MODELS.register_module()
class PoseDiffusion(nn.Module):
    """Noise schedule, training target and DDIM sampler around a `PoseDenoiser`.

    Args:
        denoiser: config of the network.
        num_steps: of the schedule.
        sampling_steps: K, of DDIM in inference.
        num_hypotheses: H, drawn for each window.
        eta: share of fresh noise in a DDIM step.
        scale: of poses relative to the noise.
        seed: of the hypotheses, so that a test gives the same numbers twice; None draws anew.
    """

    is_diffusion = True

    def __init__(self, denoiser: dict, num_steps: int = 1000, sampling_steps: int = 5, num_hypotheses: int = 5,
                 eta: float = 1.0, scale: float = 1.0, seed: int | None = 0) -> None:
        super().__init__()
        if not 0 < sampling_steps <= num_steps:
            raise ValueError(f'sampling_steps must be from 1 to num_steps={num_steps}, got {sampling_steps}')
        self.denoiser = MODELS.build(denoiser)
        self.num_steps, self.sampling_steps, self.num_hypotheses = num_steps, sampling_steps, num_hypotheses
        self.eta, self.scale, self.seed = eta, scale, seed
        self.register_buffer('kept', cosine_schedule(num_steps)['alphas_cumprod'].float())

    @property
    def num_frames(self) -> int:
        return self.denoiser.num_frames

    @property
    def num_joints(self) -> int:
        return self.denoiser.num_joints

    def forward(self, points: Tensor, target: Tensor) -> Tensor:
        """The training pass: poses (B, F, K, 3) are noised to a random step each, and found again from them and the points."""
        step = torch.randint(0, self.num_steps, (len(target),), device=target.device)
        noisy = self.add_noise(target, step, torch.randn_like(target))
        return self.denoiser(points, noisy, step)

    def add_noise(self, target: Tensor, step: Tensor, noise: Tensor) -> Tensor:
        """Poses as they are after so many steps of the diffusion, clamped to 1.1 of the scale."""
        kept = self.kept[step].view(-1, 1, 1, 1)
        noisy = kept.sqrt() * target * self.scale + (1 - kept).sqrt() * noise
        return self._clamp(noisy) / self.scale

    def _clamp(self, poses: Tensor) -> Tensor:
        return poses.clamp(-1.1 * self.scale, 1.1 * self.scale)

    def draw(self, points: Tensor) -> Tensor:
        """The noise of a whole `sample` of (B, F, K, 2) points: (B, steps, H, F, K, 3)."""
        generator = None if self.seed is None else torch.Generator(points.device).manual_seed(self.seed)
        shape = (len(points), self.num_hypotheses, *points.shape[1:-1], 3)
        return torch.stack([torch.randn(shape, generator=generator, device=points.device, dtype=points.dtype)
                            for _ in range(self.sampling_steps)], 1)

    def sample(self, points: Tensor, mirrored: Tensor | None = None, order: list[int] | None = None,
               noise: Tensor | None = None) -> Tensor:
        """DDIM (arXiv:2010.02502) from noise to hypotheses.

        Args:
            points: (B, F, K, 2).
            mirrored: the same windows mirrored, to average both views in every step; None: one view.
            order: the skeleton's `mirror_order`, with `mirrored`.
            noise: of `draw`, in place of a draw of its own.

        Returns:
            (B, H, F, K, 3).
        """
        from mmxf.structures.skeleton import mirror

        batch, hypotheses = points.shape[0], self.num_hypotheses
        draws = iter((self.draw(points) if noise is None else noise).unbind(1))
        points = points.repeat_interleave(hypotheses, 0)
        mirrored = None if mirrored is None else mirrored.repeat_interleave(hypotheses, 0)
        times = sample_times(self.num_steps, self.sampling_steps)
        poses = next(draws).flatten(0, 1)
        for now, following in zip(times[:-1], times[1:]):
            step = points.new_full((points.shape[0],), now, dtype=torch.long)
            seen = self._clamp(poses) / self.scale
            clean = self.denoiser(points, seen, step)
            if mirrored is not None:
                clean = (clean + mirror(self.denoiser(mirrored, mirror(seen, order), step), order)) / 2
            clean = self._clamp(clean * self.scale)
            if following < 0:
                poses = clean
                break
            kept, kept_next = self.kept[now].double(), self.kept[following].double()
            direction = (poses * (1 / kept).sqrt() - clean) / (1 / kept - 1).sqrt()
            sigma = self.eta * ((1 - kept / kept_next) * (1 - kept_next) / (1 - kept)).sqrt()
            poses = (clean * kept_next.sqrt() + (1 - kept_next - sigma ** 2).sqrt() * direction +
                     sigma * next(draws).flatten(0, 1)).to(points)
        return poses.unflatten(0, (batch, hypotheses))


def aggregate_by_reprojection(hypotheses: Tensor, root: Tensor, points: Tensor, intrinsics: Tensor) -> Tensor:
    """Of each joint the hypothesis that is seen nearest to where the joint was seen (JPMA, D3DP section 3.4).

    Args:
        hypotheses: (B, H, F, K, 3), relative to the root.
        root: (B, F, 1, 3) or (B, H, F, 1, 3), positions of the root in the camera's frame, metres.
        points: (B, F, K, 2), normalised image coordinates.
        intrinsics: (9,), see `mmxf.structures.cameras.PoseCamera.intrinsics`.

    Returns:
        (B, F, K, 3).
    """
    from mmxf.structures.cameras import project

    root = root[:, None] if root.dim() == 4 else root
    distance = (project(hypotheses + root, intrinsics) - points[:, None]).norm(dim=-1)          # (B, H, F, K)
    best = distance.argmin(1, keepdim=True)[..., None].expand(-1, -1, -1, -1, 3)
    return hypotheses.gather(1, best)[:, 0]
