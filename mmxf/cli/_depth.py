"""Depth models in the demo: depth as 16-bit PNG, a picture with a bar in metres, a point cloud."""

import sys
from pathlib import Path

DEPTH_UNITS = 1000  # a metre, of the PNGs that are written


def run_depth(model, files: list[Path], root: Path, out_dir: Path, args) -> int:
    """Predicts and writes NAME_depth.png, NAME_depth_colors.png and NAME.ply of each image.

    Raises:
        UserError: where true depth was given and cannot be used; names the file.
    """
    from mmxf.apis import ImageError

    target = read_target(args)
    if target is not None and len(files) > 1:
        from mmxf.config import UserError

        raise UserError(f'{args.true_depth} belongs to one image; {len(files)} were given')
    done, bad = 0, []
    for file in files:
        try:
            paths = one(model, file, out_dir / file.relative_to(root).with_suffix(''), target, args)
        except ImageError as error:
            bad.append(file)
            print(f'skipped: {error}', file=sys.stderr)
            continue
        done += 1
        print(f'[{done + len(bad)}/{len(files)}] ' + ', '.join(map(str, paths)))
    print(f'{done} depth maps in {out_dir}, {DEPTH_UNITS} units a metre' + (
        f'; {len(bad)} of {len(files)} files could not be used: {", ".join(map(str, bad[:10]))}' if bad else ''))
    return 0 if done else 1


def read_target(args):
    """True depth (H, W) metres of ``--true-depth``, or None."""
    if not args.true_depth:
        return None
    from mmxf.config import UserError
    from mmxf.datasets.transforms.depth import DepthFileError, read_depth

    try:
        return read_depth(args.true_depth, args.depth_scale)
    except DepthFileError as error:
        raise UserError(f'{error}' + (' (--depth-scale)' if 'depth_scale' in str(error) else '')) from None


def is_panoramic(model) -> bool:
    """Whether the network wants panoramas."""
    return hasattr(model.backbone, 'layout')


def read_input(model, file: Path):
    """(H, W, 3) uint8 BGR. Raises ImageError for what is no photograph, or no panorama where one is wanted."""
    import cv2
    import numpy as np

    from mmxf.apis import ImageError
    from mmxf.apis.inference import read_image

    image = read_image(file)
    raw = cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    if raw is not None and raw.dtype != np.uint8:
        raise ImageError(f'{file} has {raw.dtype.itemsize * 8} bits a channel, as depth maps have; give a photograph of 8 bits '
                         '(a depth map goes to --true-depth, with --depth-scale)')
    height, width = image.shape[:2]
    if is_panoramic(model) and width != 2 * height:
        raise ImageError(f'{file} is {width} x {height}; this model takes equirectangular panoramas, twice as wide as high')
    return image


def one(model, file: Path, stem: Path, target, args) -> list[Path]:
    """Writes the results of an image; their paths."""
    import cv2

    from mmxf.apis import inference
    from mmxf.config import UserError
    from mmxf.datasets.transforms.depth import write_depth
    from mmxf.visualization import write_image
    from mmxf.visualization.depth import depth_sheet, draw_depth, enlarged, point_cloud, write_ply

    image = read_input(model, file)
    depth = inference(model, image).pred_depth.data[0].cpu().numpy()
    rgb = image[..., ::-1]
    height, width = depth.shape
    small = rgb if rgb.shape[:2] == depth.shape else cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
    if target is not None and target.shape != depth.shape:
        if target.shape[0] * width != target.shape[1] * height:
            raise UserError(f'{args.true_depth} is {target.shape[1]} x {target.shape[0]}, of another shape than {file}')
        target = cv2.resize(target, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    if target is not None:
        picture = depth_sheet(small, depth, target, file.name)
    else:
        picture = depth_sheet(small, depth) if args.side_by_side else draw_depth(enlarged(depth))
    named = stem.with_name
    paths = [write_depth(named(f'{stem.name}_depth.png'), depth, DEPTH_UNITS),
             write_image(named(f'{stem.name}_depth_colors.png'), picture)]
    intrinsics = tuple(args.intrinsics) if args.intrinsics else None
    if is_panoramic(model) or intrinsics:
        paths.append(write_ply(named(f'{stem.name}.ply'), *point_cloud(depth, small, intrinsics=intrinsics)))
    return paths
