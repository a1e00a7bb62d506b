import hashlib
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from miniworld_solids import distance, march

from mmxf.datasets.miniworld import METAINFO, make_scene, render_frame
from mmxf.datasets.miniworld.metainfo import LABELS, label_of, segment_id
from mmxf.datasets.miniworld.primitives import SPHERE, make
from mmxf.datasets.miniworld.render import Hits, render, screen_pairs, trace
from mmxf.datasets.miniworld.scene import STYLES, CameraPath

CAMERAS = ('perspective', 'equirectangular')
SIZES = {'perspective': (72, 56), 'equirectangular': (96, 48)}


def scenes(camera, count=3, **kwargs):
    for style in STYLES:
        for seed in range(count):
            yield make_scene((7, seed), *SIZES[camera], camera=camera, style=style, **kwargs)


def environment_distance(env, origin, d):
    """Distance (N,) to floor, walls and ceiling or to the ground plane, in float64; hills are left out."""
    with np.errstate(divide='ignore'):
        if env.haze is None:
            low = np.array([env.extent[0], env.extent[2], 0])
            high = np.array([env.extent[1], env.extent[3], env.height])
            return np.maximum((low - origin) / d, (high - origin) / d).min(1)
        t = -origin[2] / d[:, 2]
    return np.where((t > 0) & (t < 400), t, np.inf)


@pytest.mark.parametrize('camera', CAMERAS)
def test_nearest_surface_is_the_one_that_marching_finds(camera):
    rng = np.random.default_rng(0)
    checked = 0
    for scene in scenes(camera):
        view, prims = scene.camera.base, scene.primitives(0.0)
        frame = render(scene)
        rays = view.rays().astype(float).T
        # Half of the rays where things are, half anywhere.
        on = np.flatnonzero(frame.segments.ravel() >= 1000)
        some = np.concatenate([rng.choice(on, 60), rng.integers(0, len(rays), 60)])
        d = rays[some]
        t = np.stack(
            [march(prims, k, view.position, d) for k in range(len(prims))]
            + [environment_distance(scene.environment, view.position, d)]
        )
        ids = frame.segments.ravel()[some]
        want = np.append(prims.segment, -1)[np.where(np.isinf(t.min(0)), len(prims), t.argmin(0))]
        want = np.where(want == -1, np.where(ids < 1000, ids, -1), want)
        hill = ids == LABELS['hill'] + 1
        assert (ids == want)[~hill].mean() > 0.97  # silhouettes may fall on either side
        # The measured depth, turned into a distance along the ray.
        depth = frame.depth.ravel()[some] / view.forward_component(view.rays())[some]
        same = (ids == want) & ~hill & (t.min(0) < 30)
        assert np.quantile(np.abs(depth[same] - t.min(0)[same]), 0.98) < 5e-3
        checked += same.sum()
    assert checked > 300


@pytest.mark.parametrize('camera', CAMERAS)
def test_culling_changes_nothing(camera):
    for scene in scenes(camera, 3):
        view = scene.camera.base
        if camera == 'perspective':  # things beside and behind the camera too
            view = replace(view, position=view.position * [0.4, 0.4, 1.0])
        else:  # a thing straight behind, so across the picture's left and right border
            away = scene.things[0].path.home - view.position[:2]
            view = view.look(view.position, np.arctan2(*away[::-1]) + np.pi, 0.0, 96, 48, camera)
        prims, origin, d = scene.primitives(0.0), view.position.astype(np.float32)[:, None], view.rays()
        n = d.shape[1]
        every = np.repeat(np.arange(len(prims)), n), np.tile(np.arange(n), len(prims))
        one: Hits = trace(scene, prims, origin, d, screen_pairs(view, prims))
        two: Hits = trace(scene, prims, origin, d, every)
        assert (one.prim >= 0).any()
        assert np.array_equal(one.t, two.t) and np.array_equal(one.prim, two.prim)


@pytest.mark.parametrize('camera', CAMERAS)
def test_segments_boxes_and_areas_agree(camera):
    for scene in scenes(camera):
        frame = render_frame(scene)
        assert {s['id'] for s in frame.segments_info} == set(np.unique(frame.segments).tolist())
        for s in frame.segments_info:
            rows, columns = np.nonzero(frame.segments == s['id'])
            assert s['area'] == len(rows)
            assert s['bbox'] == [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
            assert 0 <= s['label'] < len(METAINFO['classes'])
            assert s['isthing'] == (METAINFO['classes'][s['label']] in METAINFO['thing_classes'])
            assert s['id'] == segment_id(s['label'], s['track_id'])
        # Only the sky has no depth.
        assert np.array_equal(np.isinf(frame.depth), frame.segments == LABELS['sky'] + 1)


@pytest.mark.parametrize('camera', CAMERAS)
def test_backprojected_depth_lies_on_the_surface(camera):
    for scene in scenes(camera):
        frame = render_frame(scene)
        points = frame.camera.backproject(frame.depth)
        prims = scene.primitives(0.0)
        for s in frame.segments_info:
            here = points[frame.segments == s['id']]
            if s['isthing']:
                gap = np.min(
                    [distance(prims, k, here) for k in np.flatnonzero(prims.segment == s['id'])], axis=0
                )
                assert np.abs(gap).max() < 5e-3
            elif METAINFO['classes'][s['label']] in ('floor', 'grass', 'road'):
                away = np.linalg.norm(here - frame.camera.position, axis=1)
                assert (np.abs(here[:, 2]) < 1e-4 * away + 1e-4).all()
            elif METAINFO['classes'][s['label']] == 'ceiling':
                assert np.abs(here[:, 2] - scene.environment.height).max() < 1e-3


def test_pinhole_projection_is_the_intrinsic_matrix():
    view = make_scene(3, 80, 60).camera.base
    points = view.position + np.array([[5.0, 0.3, -0.2], [4.0, -1.0, 0.5]]) @ view.rotation[[2, 0, 1]]
    spots, depth = view.project(points)
    flat = (points @ view.rotation.T + view.translation) @ view.intrinsics.T
    assert np.allclose(spots, flat[:, :2] / flat[:, 2:]) and np.allclose(depth, [5, 4])
    assert np.allclose(spots[0], [40 + 0.3 / 5 * view.focal, 30 - 0.2 / 5 * view.focal])


@pytest.mark.parametrize('camera', CAMERAS)
def test_projection_inverts_rays(camera):
    view = make_scene(3, *SIZES[camera], camera=camera).camera.base
    points = view.position + 3 * view.rays().T.astype(float)
    v, u = np.mgrid[0 : view.height, 0 : view.width] + 0.5
    spots, _ = view.project(points)
    assert np.abs(spots - np.stack([u.ravel(), v.ravel()], 1)).max() < 2e-3


@pytest.mark.parametrize('camera', CAMERAS)
def test_visible_joints_lie_in_the_persons_mask(camera):
    flags = np.zeros(3, int)
    for seed in range(12):
        width, height = (160, 120) if camera == 'perspective' else (256, 128)
        scene = make_scene((8, seed), width, height, camera=camera, moving=True)
        frame = render_frame(scene, time=0.7, antialias=False)
        prims = scene.primitives(0.7)
        for person, pose in zip(scene.people, frame.poses):
            flags += np.bincount(pose.visibility, minlength=3)
            for point, spot, flag in zip(pose.joints_3d, pose.joints_2d, pose.visibility):
                inside = bool((spot >= 0).all() and spot[0] < width and spot[1] < height)
                assert (flag > 0) == inside
                if flag == 2:
                    assert frame.segments[int(spot[1]), int(spot[0])] == person.segment
                # Every joint is in or just at the body.
                own = np.flatnonzero(prims.segment == person.segment)
                assert min(distance(prims, k, point[None])[0] for k in own) < 0.03
    assert (flags[1:] > 40).all()


def test_joints_behind_another_thing_are_not_visible():
    scene = next(s for s in (make_scene((9, k), 96, 96) for k in range(20)) if s.people)
    person = scene.people[0]
    eye = scene.camera.base.position
    hip = person.joints(0.0)['pelvis']
    screen = make(SPHERE, eye + 0.4 * (hip - eye), (1.0, 1.0, 1.0), segment=segment_id(LABELS['wall']))
    frame = render_frame(replace(scene, fixed=screen), antialias=False)
    pose = next(p for p in frame.poses if p.track_id == person.track_id)
    assert (pose.visibility < 2).all()


def test_tracks_keep_their_id_and_place():
    for style in STYLES:
        scene = make_scene((4, 1), 96, 72, style=style, moving=True)
        names = {t.segment: t.name for t in scene.things}
        seen, moved = set(), False
        for time in (0.0, 0.5, 2.0):
            frame = render_frame(scene, time, antialias=False)
            points = frame.camera.backproject(frame.depth)
            for s in frame.segments_info:
                if not s['isthing']:
                    continue
                assert METAINFO['classes'][label_of(s['id'])] == names[s['id']]
                thing = next(t for t in scene.things if t.track_id == s['track_id'])
                prims = thing.primitives(time)
                here = points[frame.segments == s['id']]
                gap = np.min([distance(prims, k, here) for k in range(len(prims))], axis=0)
                assert np.abs(gap).max() < 5e-3
                seen.add(s['id'])
                moved |= not np.allclose(prims.centre, thing.primitives(0.0).centre)
        assert moved and seen


def test_moving_camera_moves_and_still_one_does_not():
    moving, still = make_scene(5, moving=True).camera, make_scene(5).camera
    assert not np.allclose(moving.at(0.0).position, moving.at(1.5).position)
    assert not np.allclose(moving.at(0.0).rotation, moving.at(1.5).rotation)
    assert still.at(0.0) is still.at(1.5)


def test_light_and_shadow_fall_where_they_should():
    """In the zenith's light the ground under a ball is dark; so is the ball itself below, not above."""
    scene = make_scene((1, 0), 64, 64, style='ground')
    ball = make(
        SPHERE, (6.0, 0.0, 1.5), (0.8,) * 3, segment=segment_id(LABELS['sphere'], 1), colour_a=(0.4,) * 3
    )
    env = replace(scene.environment, road=None, rings=[], haze=0.0, soil=scene.environment.grass)
    light = replace(scene.light, direction=np.float32([0, 0, 1]), colour=np.float32([1, 1, 1]))
    view = scene.camera.base.look((0, 0, 2.5), 0.0, -0.25, 64, 64, fov=1.0)
    world = replace(
        scene, environment=env, light=light, things=(), fixed=ball, camera=CameraPath(view, 0.0, -0.25, 1.0)
    )
    image = render(world).image.astype(float).mean(-1)

    def shown(point):
        u, v = (int(c) for c in view.project(np.array(point))[0])
        return image[v - 1 : v + 2, u - 1 : u + 2].mean()

    assert shown((6.0, 0.0, 0.0)) < 0.75 * shown((6.0, 2.0, 0.0))
    assert shown((5.75, 0, 2.2)) > 1.25 * shown((5.3, 0, 1.1))


def digest() -> str:
    state = hashlib.sha256()
    for camera in CAMERAS:
        frame = render_frame(make_scene((11, 2), *SIZES[camera], camera=camera, moving=True), time=0.3)
        for part in (frame.image, frame.segments, frame.depth):
            state.update(np.ascontiguousarray(part).tobytes())
        state.update(
            repr(frame.segments_info).encode() + repr([p.joints_2d.tolist() for p in frame.poses]).encode()
        )
    return state.hexdigest()


def test_same_seed_gives_the_same_bytes_in_another_process():
    code = 'import test_miniworld_render as t; print(t.digest())'
    out = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, cwd=__file__.rpartition('/')[0]
    )
    assert out.returncode == 0, out.stderr
    assert out.stdout.split()[-1] == digest()


def test_other_seed_gives_another_picture():
    one, two = (render(make_scene(seed, 64, 64)).image for seed in (0, 1))
    assert not np.array_equal(one, two)


def test_scenes_are_fit_for_learning():
    """2 to 7 things of decent size, and all classes turn up."""
    found = np.zeros(len(METAINFO['classes']), int)
    for seed in range(40):
        frame = render_frame(make_scene((2, seed)), antialias=False)
        things = [s for s in frame.segments_info if s['isthing']]
        assert 2 <= len(things) <= 7
        assert min(s['area'] for s in things) >= 0.004 * 128 * 128
        found[[s['label'] for s in frame.segments_info]] += 1
        assert 40 < frame.image.mean() < 220 and frame.image.std() > 15
    assert (found >= 5).all(), dict(zip(METAINFO['classes'], found))


@pytest.mark.parametrize(
    'kwargs, word',
    [(dict(camera='fisheye'), 'fisheye'), (dict(style='moon'), 'moon'), (dict(width=0), 'positive')],
)
def test_bad_arguments_are_named(kwargs, word):
    with pytest.raises(ValueError, match=word):
        make_scene(0, **kwargs)
