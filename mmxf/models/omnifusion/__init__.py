"""OmniFusion: depth from one 360-degree panorama through tangent images and geometry-aware fusion.

Yuyan Li, Yuliang Guo, Zhixin Yan, Xinyu Huang, Ye Duan, Liu Ren, CVPR 2022, https://arxiv.org/abs/2203.00838. Official code:
yuyanli0831/OmniFusion @1cd8b25.

What it adds: a panorama is cut into perspective patches, which a network for perspective images can see without distortion. So
that their depths agree, the place of each patch on the sphere is embedded and added to its features, a transformer exchanges one
token a patch, and patches are merged by a confidence that the network predicts. A second pass sees the depth of the first one as
points in space.

Read in this order: backbone.py (the network as a whole), encoder.py, transformer.py, decoder.py; tangent.py puts any perspective
depth network on patches; convert.py for official checkpoints. Cutting and merging patches is geometry: mmxf/structures/sphere.py.
The task's sample contract and losses: mmxf/tasks/depth.py.

Where we deviate from the official code, without a change of the numbers it produces:

- Patches are a batch of 2-D images, not the last axis of a 3-D convolution; merging is one sparse product with a table.
- In evaluation the second pass reuses the first layers, which do not see the geometry; batch norms are folded.
- The first pass's geometry is constant over a patch, and is embedded once a patch in evaluation.

And with a change of numbers:

- Tables are computed in float64; the official float32 decides up to 4 in 10,000 pixels at patches' edges differently.
- Odd patch sizes have a finite centre; the tables follow the panorama's size (officially the first size that was seen stays);
  patch sizes other than 128 work.
- The point where the loss changes from absolute to squared is relative to the largest error among known pixels in our mini
  config; the configs of the paper's rows take all pixels, as officially.
- The configs of several passes follow the published weights, whose tokens are for patches of 256 x 256 pixels; the code's last
  commit has them for 128 x 128.
- mmdet's ResNet closes its residual branches at the start unless it is told otherwise; the configs tell it. ImageNet weights
  come from a file of torchvision's, given in `init_cfg`.

What could not be checked: the paper's text beyond its beginning, and its tables, beyond what others quote of them. Which patch
counts, sizes, fields of view and components its ablations compare is not known here; our configs of them vary the official code's
options. The official data, and the published weights themselves, of which size and number of parameters are known.
"""
from .backbone import OmniFusion
from .decoder import DepthDecoder
from .encoder import DepthResNet
from .tangent import TangentDepth
from .transformer import PatchTransformer
from .unet import DepthUNet

__all__ = ['DepthDecoder', 'DepthResNet', 'DepthUNet', 'OmniFusion', 'PatchTransformer', 'TangentDepth']
