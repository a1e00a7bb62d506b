"""Losses of lifting: joint positions, their smoothness, their velocities (section 3.5), and D3DP's plain one."""
import torch
from torch import Tensor, nn

from mmxf.registry import MODELS
from mmxf.structures.skeleton import Skeleton


def weighted_mpjpe(predicted: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Mean over joints (..., K, 3) of weight times distance."""
    return (weights * (predicted - target).norm(dim=-1)).mean()


def temporal_consistency(predicted: Tensor, weights: Tensor) -> Tensor:
    """Mean of the squared changes from frame to frame of (B, F, K, 3), weighted by joint."""
    return (weights[:, None] * predicted.diff(dim=1).square()).mean()


def mean_velocity_error(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean distance of the changes from frame to frame of (B, F, K, 3)."""
    return (predicted - target).diff(dim=1).norm(dim=-1).mean()


@MODELS.register_module()
class PoseLiftingLoss(nn.Module):
    """Sum of weighted MPJPE, temporal consistency and mean velocity error.

    Args:
        skeleton: the data set's, for the weights of its joints.
        use_joint_weights: False weights all joints alike.
        consistency_weight, velocity_weight: of the second and third term; 0 leaves it out.
        gradient_by_loss: multiplies all gradients by the value of the whole loss, which is what the official code's
            ``loss.backward(loss)`` does: an effect on the schedule, the losses stay as they are.
    """

    def __init__(self, skeleton: dict, use_joint_weights: bool = True, consistency_weight: float = 0.5,
                 velocity_weight: float = 2.0, gradient_by_loss: bool = False) -> None:
        super().__init__()
        skeleton = Skeleton.from_metainfo(skeleton)
        weights = skeleton.joint_weights if use_joint_weights else (1.0,) * len(skeleton)
        self.register_buffer('joint_weights', torch.tensor(weights), persistent=False)
        self.consistency_weight, self.velocity_weight = consistency_weight, velocity_weight
        self.gradient_by_loss = gradient_by_loss

    def forward(self, predicted: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Of windows (B, F, K, 3), both relative to the root, in metres."""
        predicted = predicted.float()
        losses = dict(loss_position=weighted_mpjpe(predicted, target, self.joint_weights))
        if self.consistency_weight and predicted.shape[1] > 1:
            losses['loss_consistency'] = self.consistency_weight * temporal_consistency(predicted, self.joint_weights)
        if self.velocity_weight and predicted.shape[1] > 1:
            losses['loss_velocity'] = self.velocity_weight * mean_velocity_error(predicted, target)
        if self.gradient_by_loss:
            factor = sum(losses.values()).detach()
            losses = {name: loss.detach() + factor * (loss - loss.detach()) for name, loss in losses.items()}
        return losses
