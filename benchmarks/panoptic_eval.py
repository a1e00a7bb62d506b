"""Times panoptic evaluation on generated COCO-sized images, and panopticapi's beside it where that is importable.

    python benchmarks/panoptic_eval.py [--images 200]
    PYTHONPATH=<clone of cocodataset/panopticapi> python benchmarks/panoptic_eval.py
    python benchmarks/panoptic_eval.py --gt GT.json --pred PRED.json      # files of yours, their PNGs in GT/ and PRED/

All figures are milliseconds an image, in one process unless said otherwise: ``arrays`` is scoring of
maps in memory, ``files`` adds reading the JSON and decoding two PNGs. Both see the same files and must agree to 1e-9.
"""

import argparse
import contextlib
import io
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
from PIL import Image

from mmxf.allocator import keep_freed_memory
from mmxf.evaluation.panoptic_files import evaluate_files, read_segments
from mmxf.evaluation.panoptic_png import read_panoptic_png
from mmxf.evaluation.panoptic_quality import Segments, count_matches, segment_histogram

CATEGORIES = [{'id': k + 1, 'name': f'class {k}', 'isthing': int(k < 80)} for k in range(133)]


def regions(random: np.random.RandomState, number: int, height: int, width: int) -> np.ndarray:
    """(H, W) indices of ``number`` regions with ragged borders, as people draw them."""
    noise = [cv2.GaussianBlur(random.randn(height, width).astype(np.float32), (0, 0), 6) * 60 for _ in range(2)]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    best, out = np.full((height, width), np.inf, np.float32), np.zeros((height, width), np.int64)
    for index in range(number):
        distance = (y + noise[0] - random.rand() * height) ** 2 + (x + noise[1] - random.rand() * width) ** 2
        nearer = distance < best
        best[nearer], out[nearer] = distance[nearer], index
    return out


def generate(folder: Path, images: int, height: int = 480, width: int = 640) -> dict[str, str]:
    """Writes ground truth and predictions (the same, moved a little, some classes wrong) of ``images`` images."""
    random = np.random.RandomState(0)
    annotations: dict[str, list] = {'gt': [], 'pred': []}
    for name in annotations:
        (folder / name).mkdir()
    for image_id in range(images):
        number = random.randint(8, 40)
        gt = regions(random, number, height, width)
        labels = random.randint(0, 133, number)
        pred_labels = np.where(random.rand(number) < 0.8, labels, random.randint(0, 133, number))
        moved = np.roll(gt, random.randint(-8, 9, 2), (0, 1))
        for name, regions_of, classes in (('gt', gt, labels), ('pred', moved, pred_labels)):
            ids = random.choice(2**20, number, replace=False) * 16 + 1
            present, areas = np.unique(regions_of, return_counts=True)
            void = ids[present[0]] if name == 'gt' else -1  # one region of the truth is void
            segment_map = ids[regions_of]
            segment_map[segment_map == void] = 0
            rgb = np.stack([segment_map >> shift & 255 for shift in (0, 8, 16)], -1).astype(np.uint8)
            Image.fromarray(rgb).save(folder / name / f'{image_id}.png')  # by PIL, as COCO's own files and most
            infos = [
                {'id': int(ids[k]), 'category_id': int(classes[k]) + 1, 'area': int(area), 'iscrowd': 0}
                for k, area in zip(present, areas)
                if ids[k] != void
            ]
            annotations[name].append({'image_id': image_id, 'file_name': f'{image_id}.png', 'segments_info': infos})
    paths = {}
    for name, content in annotations.items():
        path = folder / f'{name}.json'
        path.write_text(json.dumps({'annotations': content, 'categories': CATEGORIES}))
        paths |= {f'{name}_json': str(path), f'{name}_dir': str(folder / name)}
    return paths


def categories_of(paths: dict[str, str]) -> list[dict]:
    return json.loads(Path(paths['gt_json']).read_text())['categories']


def pairs_of(paths: dict[str, str]) -> list[tuple[dict, dict]]:
    """The annotations of each image, true and predicted."""
    gt, pred = (json.loads(Path(paths[f'{name}_json']).read_text())['annotations'] for name in ('gt', 'pred'))
    predicted = {annotation['image_id']: annotation for annotation in pred}
    return [(annotation, predicted[annotation['image_id']]) for annotation in gt]


def in_turn(functions: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each function, all called in turn, so that others on the machine slow down all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def scorer_of_arrays(paths: dict[str, str]) -> Callable[[], None]:
    """Scores all maps from memory."""
    label_of = {category['id']: k for k, category in enumerate(categories_of(paths))}
    loaded = []
    for gt, pred in pairs_of(paths):
        maps = [
            read_panoptic_png(Path(paths[f'{name}_dir']) / annotation['file_name'])
            for name, annotation in (('gt', gt), ('pred', pred))
        ]
        loaded.append((*maps, gt, pred))

    def score() -> None:
        for gt_map, pred_map, gt, pred in loaded:
            truth: Segments = read_segments(gt, label_of, ground_truth=True)
            guess = read_segments(pred, label_of, ground_truth=False)
            count_matches(segment_histogram(gt_map, pred_map), truth, guess, len(label_of))

    return score


def panopticapi_scorers(paths: dict[str, str], results: dict) -> dict[str, Callable[[], None]]:
    """Its evaluation with maps in memory, from files in one process, and from files with its own process pool, which leaves its
    result in ``results``. Empty where it is not importable."""
    try:
        from panopticapi import evaluation
    except ImportError:
        return {}
    pairs = pairs_of(paths)
    categories = {category['id']: category for category in categories_of(paths)}
    pillow = evaluation.Image
    files = [os.path.join(paths[f'{name}_dir'], pair[k]['file_name']) for pair in pairs for k, name in enumerate(('gt', 'pred'))]
    maps: dict[str, np.ndarray] = {}

    def single() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation.pq_compute_single_core(0, pairs, paths['gt_dir'], paths['pred_dir'], categories)

    def arrays() -> None:
        if not maps:
            maps.update({path: np.array(pillow.open(path)) for path in files})
        evaluation.Image = SimpleNamespace(open=maps.__getitem__)
        try:
            single()
        finally:
            evaluation.Image = pillow

    def pool() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            results.update(
                evaluation.pq_compute(
                    **{f'{name}_json_file': paths[f'{name}_json'] for name in ('gt', 'pred')},
                    gt_folder=paths['gt_dir'],
                    pred_folder=paths['pred_dir'],
                )
            )

    return {'files, 1 process': single, 'files, all cores': pool, 'arrays': arrays}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--images', type=int, default=200, help='how many to generate')
    parser.add_argument('--gt', metavar='JSON', help='ground truth to take instead')
    parser.add_argument('--pred', metavar='JSON', help='its predictions')
    parser.add_argument('--repeats', type=int, default=7)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    keep_freed_memory()                    # as tools/eval_panoptic.py does
    with tempfile.TemporaryDirectory() as folder:
        if args.gt:
            paths = {f'{name}_json': path for name, path in (('gt', args.gt), ('pred', args.pred))}
            paths |= {f'{name}_dir': paths[f'{name}_json'].removesuffix('.json') for name in ('gt', 'pred')}
        else:
            paths = generate(Path(folder), args.images)
        images = len(pairs_of(paths))
        pngs = [Path(paths['gt_dir']) / gt['file_name'] for gt, _ in pairs_of(paths)]
        decode = in_turn({'decode': lambda: [read_panoptic_png(png) for png in pngs]}, args.repeats)['decode']
        results: dict = {}
        theirs = panopticapi_scorers(paths, results)
        # Maps in memory last: with them the process would be slow to fork.
        ours = {'files, 1 process': lambda: partial(evaluate_files, **paths, workers=1),
                'files, all cores': lambda: partial(evaluate_files, **paths), 'arrays': lambda: scorer_of_arrays(paths)}
        print(f'{images} images, {os.cpu_count()} cores; ms an image, medians of {args.repeats} in turn')
        print(f'  decoding one PNG           {1e3 * decode / images:8.2f}')
        for what, prepare in ours.items():
            pair = {'ours': prepare(), **({'theirs': theirs[what]} if theirs else {})}
            seconds = in_turn(pair, args.repeats)
            line = f'  {what:17} mmxf     {1e3 * seconds["ours"] / images:8.2f}'
            if theirs:
                ratio = seconds['theirs'] / seconds['ours']
                line += f'   panopticapi {1e3 * seconds["theirs"] / images:8.2f}   = {ratio:.1f} x'
            print(line)
        if not theirs:
            print('  panopticapi is not importable: put a clone of cocodataset/panopticapi on PYTHONPATH to compare')
            return
        found = evaluate_files(**paths)
        for group in ('All', 'Things', 'Stuff'):
            for key in ('pq', 'sq', 'rq'):
                assert abs(results[group][key] - found[group][key]) < 1e-9, (group, key)
        print('  same numbers to 1e-9')


if __name__ == '__main__':
    main()
