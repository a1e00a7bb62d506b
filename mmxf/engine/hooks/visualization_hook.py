"""Pictures of validation and test: image, ground truth and prediction side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.hooks import Hook

from mmxf.registry import HOOKS
from mmxf.structures.skeleton import Skeleton
from mmxf.visualization import panoptic_from_png, panoptic_sheet, read_rgb, side_by_side, write_image
from mmxf.visualization.pose import pose_strip
from mmxf.visualization.prediction import can_draw, draw_prediction


@HOOKS.register_module()
class PanopticVisualizationHook(Hook):
    """Writes sheets (image | ground truth | prediction) of panoptic predictions at validation and test; of other tasks
    image and prediction; of lifted poses, true and predicted ones from a few frames of each film.

    Ground truth comes from the data set's panoptic files where it knows them; without, the sheet has two
    pictures.

    Args:
        draw: False switches the hook off, so that a base config can carry it.
        out_dir: folder of the pictures, inside the run's folder unless absolute. A test writes
            ``<out_dir>/<image>.png``, a validation ``<out_dir>/val_<iteration>/<image>.png``.
        num_samples: pictures a validation or test, the first of the data set; -1 = all.
        val: also draw at validation, not only at test.
        min_side: smaller images are enlarged to this shorter side, in pixels.
    """

    priority = 'LOW'

    def __init__(
        self,
        draw: bool = True,
        out_dir: str = 'vis',
        num_samples: int = 8,
        val: bool = True,
        min_side: int = 420,
    ) -> None:
        self.draw = draw
        self.out_dir = Path(out_dir)
        self.num_samples = num_samples
        self.val = val
        self.min_side = min_side
        self.written: list[Path] = []
        self._infos: dict[int, dict[str, dict]] = {}

    def after_val_iter(
        self, runner, batch_idx: int, data_batch=None, outputs: Sequence | None = None
    ) -> None:
        if self.val:
            self._draw_batch(runner, runner.val_dataloader, batch_idx, outputs, f'val_{runner.iter:06d}')

    def after_test_iter(
        self, runner, batch_idx: int, data_batch=None, outputs: Sequence | None = None
    ) -> None:
        self._draw_batch(runner, runner.test_dataloader, batch_idx, outputs, '')

    def after_test_epoch(self, runner, metrics=None) -> None:
        if self.written:
            runner.logger.info(f'{len(self.written)} pictures in {self.written[0].parent}')

    def _draw_batch(self, runner, dataloader, batch_idx: int, outputs, subfolder: str) -> None:
        if not self.draw or not outputs:
            return
        if batch_idx == 0:
            self.written = []
        from mmengine.dist import get_rank, get_world_size

        size = getattr(dataloader, 'batch_size', None) or len(outputs)
        dataset = dataloader.dataset
        folder = Path(runner.work_dir) / self.out_dir / subfolder
        for i, sample in enumerate(outputs):
            # mmengine's sampler deals the data set out to the processes like cards.
            position = (batch_idx * size + i) * get_world_size() + get_rank()
            if 0 <= self.num_samples <= position:
                return
            if 'pred_keypoints_3d' in sample:
                self._draw_poses(dataset, sample, position, folder)
            elif can_draw(sample):
                self._draw_sample(runner, dataset, sample, position, folder)

    def _draw_poses(self, dataset, sample, position: int, folder: Path) -> None:
        title = ' '.join(str(sample.get(key)) for key in ('subject', 'action', 'camera') if sample.get(key) is not None)
        sheet = pose_sheet(sample, Skeleton.from_metainfo(dataset.metainfo), title)
        self.written.append(write_image(folder / f'{position:05d}_{title.replace(" ", "_").replace("/", "_")}.png', sheet))

    def _draw_sample(self, runner, dataset, sample, position: int, folder: Path) -> None:
        path = sample.get('img_path')
        try:
            sheet = draw_sample(
                sample,
                dataset.metainfo,
                self._info(dataset, path),
                getattr(dataset, 'cat2label', None),
                self.min_side,
            )
            self.written.append(write_image(folder / f'{Path(path).stem}.png', sheet))
        except (OSError, ValueError, TypeError) as error:
            # A picture is never worth a run: say what is wrong with this one and go on.
            runner.logger.warning(f'no picture of sample {position} ({path}): {error}')

    def _info(self, dataset, path) -> dict | None:
        """The data set's own record of an image, which knows the panoptic file."""
        key = id(dataset)
        if key not in self._infos:
            infos: dict[str, dict] = {}
            get = getattr(dataset, 'get_data_info', None)
            for i in range(len(dataset) if get else 0):
                info = get(i)
                infos[str(info.get('img_path'))] = info
            self._infos[key] = infos
        return self._infos[key].get(str(path))


def pose_sheet(sample, skeleton, title: str = '') -> np.ndarray:
    """Sheet (RGB uint8) of a few lifted poses of a film, below the true ones where they are known."""
    strips = [('prediction', sample.pred_keypoints_3d)]
    if 'gt_keypoints_3d' in sample:
        strips.insert(0, ('ground truth', sample.gt_keypoints_3d))
    strips = [(name, np.nan_to_num(poses.cpu().numpy())) for name, poses in strips]
    reach = 1.2 * max(0.1, *(float(np.abs(poses).max()) for _, poses in strips))
    return side_by_side([(name, pose_strip(poses, skeleton, reach)) for name, poses in strips], title)


def draw_sample(
    sample, metainfo: dict, info: dict | None, cat2label: dict | None = None, min_side: int = 420
) -> np.ndarray:
    """Sheet (RGB uint8) of a predicted data sample; ``info`` may name the ground truth (``seg_map_path``,
    ``segments_info``).

    Raises OSError or ValueError where the image cannot be read, TypeError where the sample does not know
    its path.
    """
    path = Path(sample.get('img_path'))
    if 'pred_panoptic_seg' not in sample:
        image = read_rgb(path)
        drawn = draw_prediction(image, sample, metainfo)
        scale = max(1, -(-min_side // min(drawn.shape[:2])))
        image, drawn = (picture.repeat(scale, 0).repeat(scale, 1) for picture in (image, drawn))
        return side_by_side([('image', image), ('prediction', drawn)], path.name)
    classes = list(metainfo['classes'])
    maps = []
    if info and info.get('seg_map_path') and info.get('segments_info') is not None:
        maps.append((
            'ground truth',
            panoptic_from_png(info['seg_map_path'], info['segments_info'], len(classes), cat2label),
        ))
    maps.append(('prediction', sample.pred_panoptic_seg.sem_seg))
    return panoptic_sheet(
        read_rgb(path),
        maps,
        classes,
        metainfo.get('palette'),
        thing_classes=metainfo.get('thing_classes'),
        title=path.name,
        min_side=min_side,
    )
