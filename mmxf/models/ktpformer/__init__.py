"""KTPFormer: kinematics and trajectory priors for lifting 2-D poses to 3-D.

Jihua Peng, Yanghong Zhou, P. Y. Mok, CVPR 2024, https://arxiv.org/abs/2404.00658. Official code: JihuaPeng/KTPFormer
@b961951. Its
backbone is MixSTE (arXiv:2203.00859); the diffusion variant is D3DP (arXiv:2303.11579, code paTRICK-swk/D3DP @afcdd05) with
both priors.

What it adds: before the first spatial and the first temporal attention make their Q, K and V, the tokens pass a graph
convolution,
over the skeleton (kinematics prior) and over neighbouring frames (trajectory prior), whose graph is learned on top of the
given one.

Read in this order: graph.py, priors.py, encoder.py, backbone.py; loss.py for training; diffusion.py with schedule.py for the
diffusion variant; convert.py for official checkpoints. Cutting videos into windows, averaging with the mirror image and putting
windows together is the task's: mmxf/tasks/pose.py.

Where we deviate from the official code, all without a change of the numbers it produces:

- Attention is fused. In training on the CPU a few sequences at a time go through a block, and much of what autograd would keep is
  made again in the backward pass (mmxf/layers/lean_block.py with packed_attention.py; lean_linear.py, where oneDNN multiplies).
  What drop path leaves out is not computed (mmxf/layers/drop_path.py).
- The graph convolution multiplies by the diagonal of its graph instead of a diagonal matrix; in inference its batch norm is
  folded.
- A sum that the official code makes in place on the output of a ReLU, which torch can no longer differentiate, is out of place.

And with a change of numbers:

- Skeletons other than Human3.6M's 17 joints work; the official position embedding is built for 17.
- Gradients are not multiplied by the value of the loss unless `gradient_by_loss` asks for it; the configs of the paper's rows do.
- Published numbers come from the epoch that is best on the test set; our configs keep every epoch's checkpoint rule to the user.
- The priors in D3DP's denoiser have no official code. Here the kinematics prior takes the joint's five channels, and the
  time step is added after it as D3DP does; without priors the denoiser gives D3DP's numbers.
- D3DP averages the best hypothesis over a batch of windows, whose size changes the number; here it is the best of each window.
"""
from .backbone import KTPFormer
from .diffusion import PoseDenoiser, PoseDiffusion
from .loss import PoseLiftingLoss
from .priors import KinematicsPrior, LinearEmbedding, TrajectoryPrior

__all__ = ['KTPFormer', 'KinematicsPrior', 'LinearEmbedding', 'PoseDenoiser', 'PoseDiffusion', 'PoseLiftingLoss',
           'TrajectoryPrior']
