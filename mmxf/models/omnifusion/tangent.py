"""Any network for perspective images on panoramas: cut, predict, merge."""
import torch
from mmengine.model import BaseModule
from torch import Tensor

from mmxf.registry import MODELS
from mmxf.structures.sphere import TangentPatches


@MODELS.register_module()
class TangentDepth(BaseModule):
    """Depth of panoramas by a network for perspective images.

    Args:
        network: config; (B, 3, h, w) to depth (B, 1, h, w), or a list whose last entry counts.
        rows, fov, true_angle, exact_inverse: see `TangentPatches`; by default patches really show `fov` degrees, and the way
            back is the inverse of the way there.
        patch_size: h = w, pixels.
        along_ray: the network gives depth along the ray, as panoramas have it. Otherwise along the optical axis, as data sets of
            perspective images have it: it is multiplied by the length of the pixel's ray.
        patches_per_batch: how many go through the network at once in evaluation; None: all.
        init_cfg: mmengine's.
    """

    def __init__(self, network: dict, *, rows: int = 4, fov: float | tuple[float, float] = 80., patch_size: int = 128,
                 true_angle: bool = True, exact_inverse: bool = True, along_ray: bool = False,
                 patches_per_batch: int | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.network = MODELS.build(network)
        self.layout = TangentPatches(rows, fov, true_angle, exact_inverse)
        self.patch_size, self.along_ray, self.patches_per_batch = patch_size, along_ray, patches_per_batch

    def forward(self, panoramas: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 1, H, W) metres along the ray; 0 where no patch looks."""
        patches = self.layout.project(panoramas, self.patch_size)                                 # (B, N, 3, h, w)
        images = patches.flatten(0, 1)
        parts = images.split(len(images) if self.training else self.patches_per_batch or len(images))
        found = [self.network(part) for part in parts]
        depth = torch.cat([one if isinstance(one, Tensor) else one[-1] for one in found]).float()
        if not self.along_ray:
            depth = depth * self.layout.ray_lengths(self.patch_size, depth.device)
        return self.layout.merge(depth.unflatten(0, patches.shape[:2]), tuple(panoramas.shape[2:]))
