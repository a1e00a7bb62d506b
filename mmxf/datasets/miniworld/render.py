"""The ray-caster: a scene at a time -> colours, segment ids and depth.

Each primitive meets only the rays that can hit it. Camera rays are culled by screen rectangles, shadow rays
and the extra rays of anti-aliasing by bounding spheres (objects first, then their primitives); what is left
is intersected as flat (primitive, ray) pairs in one vectorised call a primitive kind.
"""

from dataclasses import dataclass

import numpy as np

from . import textures as tx
from .camera import Camera
from .primitives import Primitives, dot, intersect, surface, take
from .scene import Scene

CHUNK = 32768  # rays shaded at once: temporaries stay in the cache
SHADOW_REACH = 70.0  # metres; farther ground is lit


@dataclass
class Hits:
    """What N rays hit: distance t (N,) metres (inf: sky), face (N,) of the environment, prim (N,) or -1."""

    t: np.ndarray
    face: np.ndarray
    prim: np.ndarray


@dataclass
class Picture:
    """image (H, W, 3) uint8 RGB; segments (H, W) int32 ids; depth (H, W) float32 metres, inf in the sky."""

    image: np.ndarray
    segments: np.ndarray
    depth: np.ndarray


def render(scene: Scene, time: float = 0.0, camera: Camera | None = None, antialias: bool = True) -> Picture:
    """Render one frame.

    Args:
        scene: the scene. time: seconds. camera: another view than the scene's own at that time.
        antialias: average four rays where neighbouring pixels differ; ids and depth are those of the pixel
            centre.
    """
    camera = camera or scene.camera.at(time)
    prims = scene.primitives(time)
    origin = camera.position.astype(np.float32)[:, None]
    d = camera.rays()
    hits = trace(scene, prims, origin, d, screen_pairs(camera, prims))
    colour = shade(scene, prims, origin, d, hits, camera.pixel_angle)
    shape = (camera.height, camera.width)
    image = np.clip(np.sqrt(colour), 0, 1)
    if antialias:
        _smooth(scene, prims, camera, origin, image, shape)
    depth = hits.t * camera.forward_component(d)
    image = (image * 255 + np.float32(0.5)).astype(np.uint8)
    return Picture(
        np.ascontiguousarray(image.T).reshape(*shape, 3),
        segment_ids(scene, prims, hits).reshape(shape),
        depth.reshape(shape),
    )


def trace_ids(scene: Scene, time: float, camera: Camera) -> np.ndarray:
    """Segment ids (H, W) int32 only: no colours."""
    prims = scene.primitives(time)
    origin = camera.position.astype(np.float32)[:, None]
    hits = trace(scene, prims, origin, camera.rays(), screen_pairs(camera, prims))
    return segment_ids(scene, prims, hits).reshape(camera.height, camera.width)


def segment_ids(scene: Scene, prims: Primitives | None, hits: Hits) -> np.ndarray:
    """Segment id of each ray, (N,) int32."""
    ids = (scene.environment.labels + 1).astype(np.int32)[hits.face]
    if prims is not None:
        on = hits.prim >= 0
        ids[on] = prims.segment[hits.prim[on]]
    return ids


def screen_pairs(camera: Camera, prims: Primitives | None) -> tuple[np.ndarray, np.ndarray]:
    """(primitive, pixel) pairs (P,), (P,) that may meet: pixels in the screen rectangles of the
    primitives."""
    if prims is None:
        return np.zeros(0, np.int32), np.zeros(0, np.int32)
    if camera.model == 'perspective':
        # A capsule's picture lies within the hull of its end balls' pictures; other kinds use one bounding
        # ball.
        core = np.where(prims.kind == 3, prims.size[2], 0)
        radius = np.where(prims.kind == 3, prims.size[0], prims.bound)
        one, two = (
            camera.sphere_rects((prims.centre + k * core * prims.frame[2]).T, radius) for k in (-1, 1)
        )
        whole = camera.sphere_rects(prims.centre.T, prims.bound)
        both = np.stack(
            [
                np.minimum(one, two)[:, 0],
                np.maximum(one, two)[:, 1],
                np.minimum(one, two)[:, 2],
                np.maximum(one, two)[:, 3],
            ],
            1,
        )
        seen = (one[:, 1] > 0) & (two[:, 1] > 0)  # an end may be off screen: fall back to the whole
        rects = np.where(seen[:, None], both, whole)
    else:
        rects = camera.sphere_rects(prims.centre.T, prims.bound)
    rows, columns = rects[:, 1] - rects[:, 0], rects[:, 3] - rects[:, 2]
    counts = rows * columns
    index = np.repeat(np.arange(len(prims), dtype=np.int32), counts)
    local = np.arange(len(index), dtype=np.int32) - np.repeat(
        (np.cumsum(counts) - counts).astype(np.int32), counts
    )
    wide = columns.astype(np.int32)[index]
    row = local // wide
    column = local - row * wide + rects[:, 2].astype(np.int32)[index]
    if camera.model != 'perspective':
        column %= camera.width
    return index, (row + rects[:, 0].astype(np.int32)[index]) * np.int32(camera.width) + column


def _near(centre, radius, origin, d):
    """Mask (M, N): rays (3, N) that pass within ``radius`` (M,) of ``centre`` (3, M), ahead of their
    start."""
    to = [centre[k][:, None] - origin[k][None] for k in range(3)]
    along = to[0] * d[0] + to[1] * d[1] + to[2] * d[2]
    apart = to[0] * to[0] + to[1] * to[1] + to[2] * to[2] - along * along
    radius = radius[:, None] * np.float32(1.001) + np.float32(0.01)
    return (apart < radius * radius) & (along > -radius)


def ray_pairs(prims: Primitives, origin: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(primitive, ray) pairs that may meet, for any rays: (3, N) or (3, 1) origins, (3, N) or (3, 1)
    directions."""
    bound = prims.bound.astype(np.float32)
    all_prims, all_rays = [], []
    for group in range(int(prims.group.max()) + 1):
        members = np.flatnonzero(prims.group == group)
        centre = prims.centre[:, members]
        rays = None
        if len(members) > 1:
            middle = (centre.min(1) + centre.max(1)) / 2
            away = np.sqrt(np.square(centre - middle[:, None]).sum(0)) + bound[members]
            rays = np.flatnonzero(_near(middle[:, None], away.max(keepdims=True), origin, d)[0])
            if not len(rays):
                continue
            mask = _near(centre, bound[members], take(origin, rays), take(d, rays))
        else:
            mask = _near(centre, bound[members], origin, d)
        which, ray = np.nonzero(mask)
        all_prims.append(members[which])
        all_rays.append(ray if rays is None else rays[ray])
    if not all_prims:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate(all_prims), np.concatenate(all_rays)


def trace(scene: Scene, prims: Primitives | None, origin: np.ndarray, d: np.ndarray, pairs) -> Hits:
    """Nearest hit of each ray: (3, 1) origin, (3, N) directions, candidate pairs for the primitives."""
    t, face = scene.environment.trace(origin, d)
    prim = np.full(d.shape[1], -1, np.int32)
    index, ray = pairs
    if len(index):
        dist = intersect(prims, index, origin, np.take(d, ray, axis=1))
        hit = np.flatnonzero(dist < t[ray])
        index, ray, dist = index[hit], ray[hit], dist[hit]
        np.minimum.at(t, ray, dist)
        first = dist == t[ray]
        prim[ray[first]] = index[first]
    return Hits(t, face, prim)


def shade(scene: Scene, prims: Primitives | None, origin, d, hits: Hits, pixel_angle: float) -> np.ndarray:
    """Linear RGB (3, N) of the hits."""
    out = np.empty((3, d.shape[1]), np.float32)
    for start in range(0, d.shape[1], CHUNK):
        part = slice(start, start + CHUNK)
        some = Hits(hits.t[part], hits.face[part], hits.prim[part])
        out[:, part] = _shade(scene, prims, origin, d[:, part], some, pixel_angle)
    return out


def _shade(scene, prims, origin, d, hits, pixel_angle):
    env = scene.environment
    out = np.zeros((3, d.shape[1]), np.float32)
    sky = ~np.isfinite(hits.t)
    if sky.any():
        out[:, sky] = env.sky(d[:, sky])
    solid = np.flatnonzero(~sky)
    if not len(solid):
        return out
    d, t, face, prim = d[:, solid], hits.t[solid], hits.face[solid], hits.prim[solid]
    points = origin + t * d
    normal = np.empty_like(points)
    albedo = np.empty_like(points)
    glow = np.zeros(len(t), np.float32)
    gloss = np.zeros(len(t), np.float32)
    bare = np.flatnonzero(prim < 0)
    normal[:, bare] = env.normals(face[bare], points[:, bare])
    slope = np.maximum(-dot(normal[:, bare], d[:, bare]), 0.03)
    albedo[:, bare], glow[bare] = env.albedo(face[bare], points[:, bare], t[bare] * pixel_angle / slope)
    on = np.flatnonzero(prim >= 0)
    if len(on):
        which = prim[on]
        normal[:, on], u, v, edge = surface(prims, which, points[:, on])
        mix = tx.pattern_mix(prims.pattern[which], u, v, edge, prims.scale[which])
        one, two = prims.colour_a[:, which], prims.colour_b[:, which]
        albedo[:, on] = one + (two - one) * mix
        gloss[on] = prims.gloss[which]
    lit = _light(scene, prims, points, normal, albedo, gloss, d, t)
    lit = lit + (albedo - lit) * glow
    if env.haze:
        thick = 1 - np.exp(t * np.float32(-env.haze))
        lit = lit + (env.horizon[:, None] - lit) * thick
    out[:, solid] = lit
    return out


def _light(scene, prims, points, normal, albedo, gloss, d, t):
    """Ambient light with soft contact shadows, plus Lambert and a highlight where the light reaches."""
    light = scene.light
    up = normal[2] * np.float32(0.5) + np.float32(0.5)
    ambient = light.bounce[:, None] + (light.sky - light.bounce)[:, None] * up
    if prims is not None:
        ambient = ambient * _openness(prims, points, normal, t)
    if light.position is None:
        to, dist = light.direction[:, None].astype(np.float32), None
        strength = np.float32(1)
    else:
        to = light.position[:, None] - points
        dist = np.sqrt(dot(to, to))
        to = to / np.maximum(dist, 1e-3)
        strength = np.float32(light.reach**2) / (np.float32(light.reach**2) + dist * dist) * np.float32(1.3)
    facing = np.maximum(dot(normal, to), 0)
    if prims is not None:
        test = np.flatnonzero((facing > 0) & (t < SHADOW_REACH))
        start = points[:, test] + normal[:, test] * (np.float32(2e-3) + t[test] * np.float32(1e-4))
        way = take(to, test)
        index, ray = ray_pairs(prims, start, way)
        if len(index):
            gap = intersect(prims, index, take(start, ray), take(way, ray))
            reach = np.float32(SHADOW_REACH) if dist is None else dist[test][ray]
            facing[test[ray[gap < reach]]] = 0
    facing = facing * strength
    out = albedo * (ambient + light.colour[:, None] * facing)
    shiny = np.flatnonzero((gloss > 0) & (facing > 0))
    if len(shiny):
        half = take(to, shiny) - d[:, shiny]
        half = half / np.sqrt(dot(half, half))
        peak = np.maximum(dot(half, normal[:, shiny]), 0) ** 40
        out[:, shiny] += light.colour[:, None] * (peak * gloss[shiny] * np.float32(0.7))
    return out


def _openness(prims, points, normal, t):
    """How much of the surrounding light each point sees past the things, (N,) in (0, 1]: one ball an
    object."""
    out = np.ones(points.shape[1], np.float32)
    close = np.flatnonzero(t < 30)
    p, n = points[:, close], normal[:, close]
    keep = out[close]
    for group in range(int(prims.group.max()) + 1):
        members = np.flatnonzero(prims.group == group)
        size = prims.size[:, members]
        low = float((prims.centre[2, members] - prims.bound[members]).min())
        if len(members) > 1:  # a person darkens the ground between the feet
            centre, radius = prims.centre[:, members].mean(1), 0.22
            centre[2] = low + 0.30
        else:
            centre, radius = prims.centre[:, members[0]].copy(), float(size[:2, 0].mean())
            radius = min(radius, 0.7)
            centre[2] = min(float(centre[2]), low + radius + 0.15)
        to = centre[:, None] - p
        square = dot(to, to)
        near = np.flatnonzero(square < (4.5 * radius) ** 2)
        square = np.maximum(square[near], radius * radius)
        cosine = np.maximum(dot(to[:, near], n[:, near]), 0) / np.sqrt(square)
        keep[near] *= 1 - np.float32(0.8) * cosine * np.float32(radius * radius) / square
    out[close] = keep
    return out


def _smooth(scene, prims, camera, origin, image, shape):
    """Replace pixels whose colour differs from a neighbour's by the mean of four rays through them, in
    place."""
    grid = image.reshape(3, *shape)
    rough = np.zeros(shape, bool)
    for axis in (1, 2):
        jump = np.abs(np.diff(grid, axis=axis)).max(0) > 0.1
        if axis == 1:
            rough[1:] |= jump
            rough[:-1] |= jump
        else:
            rough[:, 1:] |= jump
            rough[:, :-1] |= jump
    spots = np.flatnonzero(rough)
    if not len(spots):
        return
    row, column = np.divmod(spots, shape[1])
    offsets = ((0.125, 0.375), (0.375, 0.875), (0.625, 0.125), (0.875, 0.625))  # rotated grid
    u = np.concatenate([column + a for a, _ in offsets])
    v = np.concatenate([row + b for _, b in offsets])
    d = camera.directions(u, v)
    pairs = (np.zeros(0, np.int64),) * 2 if prims is None else ray_pairs(prims, origin, d)
    hits = trace(scene, prims, origin, d, pairs)
    colour = shade(scene, prims, origin, d, hits, camera.pixel_angle * 0.5)
    image[:, spots] = np.clip(np.sqrt(colour), 0, 1).reshape(3, 4, -1).mean(1)
