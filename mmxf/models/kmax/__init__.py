"""kMaX-DeepLab: k-means Mask Transformer.

Qihang Yu et al., ECCV 2022, https://arxiv.org/abs/2207.04044. Official code: bytedance/kmax-deeplab @f8e1d04 (PyTorch) and
google-research/deeplab2 (TensorFlow).

What it adds: cross-attention from queries to pixels becomes a k-means step. Each pixel is assigned to one cluster centre
(arg max instead of softmax), each centre moves by the sum of its pixels, and each such layer is supervised by its own masks.

Read in this order: backbone.py, pixel_decoder.py, decoder.py (the k-means layer), predictor.py, head.py; for training
auxiliary.py, matcher.py, loss.py with its parts mask_loss.py, pixel_discrimination.py and sampling.py; for results inference.py;
for official checkpoints convert.py.

Where we deviate from the official code, all without a change of the numbers it produces:

- The cluster update is a segmented sum; in inference pixels are summed before their value convolution, which is linear.
- Batch norms are folded into the convolutions before them in inference; on the CPU some 3x3 convolutions are then
  Winograd's, whose rounding errors are 1e-5 of a map's largest value.
- In inference no auxiliary class logits, features or resized masks are made.
- The auxiliary predictions' masks are resized inside the loss, one prediction at a time, with closed-form gradients, and their
  features are read at the sampled pixels alone; the auxiliary classifier is applied to sampled pixels alone.
- Relative position tables serve every input size; the official ones are built for one.
- In post-processing the two resizes are one, in strips; the image is cropped at its true resized size, which the official
  code recomputes by rounding from the original size.

And with a change of numbers:

- A batch of one image trains: the image pooling of the auxiliary head then uses its running statistics, where torch raises.
- When an image has fewer pixels than are to be sampled, all are taken, where the official code raises.
- Matching needs at least one segment in an image; the data pipeline re-draws empty samples, as the official one does.
"""
from .auxiliary import KMaXSemanticDecoder, KMaXSemanticHead
from .backbone import KMaXConvNeXt, KMaXResNet
from .decoder import KMaXDecoder
from .head import KMaXHead
from .loss import KMaXLoss
from .pixel_decoder import KMaXPixelDecoder

__all__ = ['KMaXConvNeXt', 'KMaXDecoder', 'KMaXHead', 'KMaXLoss', 'KMaXPixelDecoder', 'KMaXResNet',
           'KMaXSemanticDecoder', 'KMaXSemanticHead']
