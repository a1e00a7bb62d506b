"""Two-stage detectors (mmdet's Faster and Mask R-CNN) with results of a fixed shape."""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from mmxf.config import UserError

from .detection_ops import pool, suppress
from .program import ImageProgram


class DetectionProgram(ImageProgram):
    """The best detections of each image, as many rows as the test settings allow; rows without one have score 0, label -1.

    Inputs are the padded image and, as a float32 (B, 2), height and width of what is image in it, which boxes do not leave. Masks
    are probabilities within the boxes.
    """

    inputs = ('image', 'size')
    evidence = 'scores'
    least_torch = '2.7'     # 2.6 cannot trace the loop of the suppression

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.outputs = ('boxes', 'scores', 'labels') + (('masks',) if model.roi_head.with_mask else ())
        self._check()
        rcnn = model.roi_head.test_cfg
        self.notes.update(size='float32 (batch, 2), height and width of the image within the padded one',
                          boxes='x1 y1 x2 y2 in pixels of the input', rows=rcnn.max_per_img,
                          empty_rows='score 0, label -1')
        if model.roi_head.with_mask:
            self.notes.update(masks='probability of each cell of a grid over the box', mask_threshold=rcnn.mask_thr_binary)

    def _check(self) -> None:
        model, roi = self.model, self.model.roi_head
        extractors = [roi.bbox_roi_extractor, *([roi.mask_roi_extractor] if roi.with_mask else [])]
        layers = [layer for extractor in extractors for layer in extractor.roi_layers]
        problems = [text for wrong, text in (
            (model.rpn_head.test_cfg.nms.get('type', 'nms') != 'nms' or roi.test_cfg.nms.get('type', 'nms') != 'nms',
             'suppression other than nms'),
            (type(roi).__name__ != 'StandardRoIHead' or roi.with_shared_head, f'a {type(roi).__name__} or a shared head'),
            (any(type(e).__name__ != 'SingleRoIExtractor' for e in extractors), 'boxes pooled from several levels'),
            (any(type(a).__name__ != 'RoIAlign' or not a.aligned or a.pool_mode != 'avg' for a in layers),
             'pooling other than the aligned mean of RoIAlign'),
            (not model.rpn_head.use_sigmoid_cls or roi.bbox_head.custom_cls_channels, 'scores of another kind'),
        ) if wrong]
        if problems:
            raise UserError(f'{type(model).__name__} cannot be exported: it has {", ".join(problems)}')

    def arguments(self, batch: dict) -> tuple[Tensor, ...]:
        image, = super().arguments(batch)
        shapes = [sample.img_shape[:2] for sample in batch['data_samples']] if batch.get('data_samples') else \
            [tuple(image.shape[-2:])] * len(image)
        return image, torch.tensor(shapes, dtype=torch.float32, device=image.device)

    def forward(self, image: Tensor, size: Tensor) -> tuple[Tensor, ...]:
        levels = self.model.extract_feat(self.normalise(image))
        boxes, found = self._propose(levels, size)
        return self._detect(levels, boxes, found, size)

    def _propose(self, levels: Sequence[Tensor], size: Tensor) -> tuple[Tensor, Tensor]:
        """The best boxes (B, R, 4) of the region proposal network, and which of them are any (B, R)."""
        head, cfg = self.model.rpn_head, self.model.rpn_head.test_cfg
        logits, deltas = head(levels)
        priors = head.prior_generator.grid_priors([level.shape[-2:] for level in logits], device=logits[0].device)
        most = _candidates([prior.shape[0] for prior in priors], cfg.get('nms_pre', -1))
        boxes, scores = [], []
        for logit, delta, prior in zip(logits, deltas, priors):
            score, delta, prior = _best(_rows(logit, 1).squeeze(-1).sigmoid(), _rows(delta, 4), prior, most)
            box = _clip(_decode(head.bbox_coder, prior, delta), size)
            if cfg.get('min_bbox_size', -1) >= 0:
                score = torch.where(((box[..., 2:] - box[..., :2]) > cfg.min_bbox_size).all(-1), score, -1.0)
            boxes.append(box)
            scores.append(score)
        boxes, scores = torch.stack(boxes, 1), torch.stack(scores, 1)                       # (B, L, N, 4), (B, L, N)
        keep = suppress(boxes.flatten(0, 1), scores.flatten(0, 1), cfg.nms.iou_threshold, self.onnx)
        scores = torch.where(keep.view_as(scores), scores, -1.0).flatten(1)
        score, index = scores.topk(min(cfg.max_per_img, scores.shape[1]), dim=1)
        boxes = boxes.flatten(1, 2).gather(1, index.unsqueeze(-1).expand(-1, -1, 4))
        return torch.where((score > 0).unsqueeze(-1), boxes, 0.0), score > 0

    def _detect(self, levels: Sequence[Tensor], rois: Tensor, found: Tensor, size: Tensor) -> tuple[Tensor, ...]:
        """Boxes (B, D, 4), scores and labels (B, D), masks (B, D, h, w) from proposals."""
        roi, cfg = self.model.roi_head, self.model.roi_head.test_cfg
        head = roi.bbox_head
        logits, deltas = head(self._pool(roi.bbox_roi_extractor, levels, rois).flatten(0, 1))
        B, R, K = rois.shape[0], rois.shape[1], head.num_classes
        scores = logits.softmax(-1)[:, :-1].reshape(-1, R, K)
        scores = torch.where((scores > cfg.score_thr) & found.unsqueeze(-1), scores, -1.0).transpose(1, 2)   # (B, K, R)
        deltas = deltas.reshape(-1, R, 1 if head.reg_class_agnostic else K, 4)
        boxes = _decode(head.bbox_coder, rois.unsqueeze(2).expand_as(deltas), deltas)
        boxes = _clip(boxes.flatten(1, 2), size).view_as(deltas).transpose(1, 2).expand(-1, K, -1, -1)      # (B, K, R, 4)
        keep = suppress(boxes.reshape(-1, R, 4), scores.reshape(-1, R), cfg.nms.iou_threshold, self.onnx)
        scores = torch.where(keep.view_as(scores), scores, -1.0).flatten(1)
        score, index = scores.topk(min(cfg.max_per_img, scores.shape[1]), dim=1)
        some = score > 0
        boxes = boxes.reshape(B, K * R, 4).gather(1, index.unsqueeze(-1).expand(-1, -1, 4))
        boxes = torch.where(some.unsqueeze(-1), boxes, 0.0)
        labels = torch.where(some, index // R, -1)
        results = boxes, torch.where(some, score, 0.0), labels
        if not roi.with_mask:
            return results
        masks = roi.mask_head(self._pool(roi.mask_roi_extractor, levels, boxes).flatten(0, 1))
        masks = masks.unflatten(0, (B, -1))                                                 # (B, D, K or 1, h, w)
        which = torch.zeros_like(labels) if roi.mask_head.class_agnostic else labels.clamp(min=0)
        which = which[:, :, None, None, None].expand(-1, -1, 1, *masks.shape[-2:])
        return *results, torch.where(some[..., None, None], masks.gather(2, which).squeeze(2).sigmoid(), 0.0)

    def _pool(self, extractor: nn.Module, levels: Sequence[Tensor], boxes: Tensor) -> Tensor:
        """(B, R, 4) to (B, R, C, bins, bins), each box from the level of its size."""
        layers = extractor.roi_layers
        flat = F.pad(boxes.flatten(0, 1), (1, 0))
        level = extractor.map_roi_levels(flat, len(layers)).view(boxes.shape[:2]).unsqueeze(-1)      # (B, R, 1)
        out = 0.0
        for i, (layer, feature) in enumerate(zip(layers, levels)):
            # Boxes of other levels have no extent here, which costs nothing.
            part = pool(feature, torch.where(level == i, boxes, 0.0), layer.output_size[0], float(layer.spatial_scale),
                        layer.sampling_ratio, self.onnx)
            out = out + torch.where((level == i)[..., None, None], part, 0.0)
        return out

    def expected(self, batch: dict) -> tuple[Tensor, ...]:
        model, roi = self.model, self.model.roi_head
        levels = model.extract_feat(batch['inputs'])
        image, size = self.arguments(batch)
        metas = [dict(img_shape=tuple(int(side) for side in shape)) for shape in size.tolist()]
        proposals = model.rpn_head.predict_by_feat(*model.rpn_head(levels), batch_img_metas=metas, rescale=False)
        found = roi.predict_bbox(levels, metas, proposals, roi.test_cfg, rescale=False)
        rows = []
        for number, one in enumerate(found):
            values = [one.bboxes, one.scores, one.labels]
            if roi.with_mask:
                boxes = F.pad(one.bboxes, (1, 0), value=number)
                masks = roi._mask_forward(levels, boxes)['mask_preds']
                which = torch.zeros_like(one.labels) if roi.mask_head.class_agnostic else one.labels
                values.append(masks[torch.arange(len(masks)), which].sigmoid())
            rows.append(values)
        most = roi.test_cfg.max_per_img
        return tuple(torch.stack([_filled(value, most, -1 if name == 'labels' else 0) for value in column])
                     for name, column in zip(self.outputs, zip(*rows)))

    def align(self, got: Sequence[Tensor], expected: Sequence[Tensor]) -> Sequence[Tensor]:
        """Detections of equal scores come in any order: each of the file's goes to the place of the nearest of the model's."""
        if any(a.shape != b.shape for a, b in zip(got, expected)):
            return got
        order = [torch.as_tensor(linear_sum_assignment(distance)[1]) for distance in _distances(got, expected)]
        return [torch.stack([rows[index] for rows, index in zip(value, order)]) for value in got]


def _distances(got: Sequence[Tensor], expected: Sequence[Tensor]) -> Tensor:
    """(B, D, D): of the model's row and the file's, pixels, with scores and labels that weigh as a large image."""
    tables = [torch.cat([boxes, 1e4 * scores.unsqueeze(-1), 1e4 * labels.unsqueeze(-1)], -1).double()
              for boxes, scores, labels in (got[:3], expected[:3])]
    return (tables[1].unsqueeze(2) - tables[0].unsqueeze(1)).abs().sum(-1)


def _rows(x: Tensor, width: int) -> Tensor:
    """(B, A width, H, W) to (B, H W A, width)."""
    return x.permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, width))


def _candidates(counts: Sequence[int], limit: int) -> int:
    """How many boxes of each level are looked at; a number also where the counts are symbols of a file of any size."""
    if not any(isinstance(count, torch.SymInt) for count in counts):
        return max(min(count, limit) if limit > 0 else count for count in counts)
    if limit <= 0:
        raise UserError('--dynamic size: the region proposal network must say how many boxes of a level it looks at: set '
                        'model.test_cfg.rpn.nms_pre')
    return limit


def _best(score: Tensor, delta: Tensor, prior: Tensor, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """The `most` best of scores (B, N), their deltas (B, N, 4) and priors (N, 4) -> (B, most), (B, most, 4) twice.

    Where a level has fewer, or may have fewer in a file of any size, the last ones have score -1 and no extent.
    """
    count = prior.shape[0]
    spare = most if isinstance(count, torch.SymInt) else max(most - count, 0)
    score, index = F.pad(score, (0, spare), value=-1.0).topk(most, dim=1)
    delta = F.pad(delta, (0, 0, 0, spare)).gather(1, index.unsqueeze(-1).expand(-1, -1, 4))
    return score, delta, F.pad(prior, (0, 0, 0, spare))[index]


def _decode(coder, priors: Tensor, deltas: Tensor) -> Tensor:
    """Boxes (..., 4) of priors and deltas (..., 4), not clipped."""
    return coder.decode(priors.reshape(-1, 4), deltas.reshape(-1, 4)).view_as(deltas)


def _clip(boxes: Tensor, size: Tensor) -> Tensor:
    """Boxes (B, N, 4) within images of a size (B, 2), height and width."""
    most = size.flip(1).repeat(1, 2).unsqueeze(1)                                           # (B, 1, 4): w h w h
    return torch.minimum(boxes.clamp(min=0), most)


def _filled(rows: Tensor, count: int, value: float) -> Tensor:
    """As many rows, those at the end of a value."""
    return torch.cat([rows, rows.new_full((count - len(rows), *rows.shape[1:]), value)])
