"""A skeleton: which joints there are, which are linked, which mirror each other, where the root is."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

# Keys of a data set's metainfo that describe its skeleton; '${skeleton}' of a config is a dict of these.
SKELETON_KEYS = ('joints', 'edges', 'left_joints', 'right_joints', 'root_joints', 'joint_weights')


@dataclass(frozen=True)
class Skeleton:
    """Joints of one data set, in the order of its files.

    Args:
        joints: names.
        edges: pairs of indices that are linked by a bone.
        left_joints, right_joints: indices that trade places when the picture is mirrored, in matching order.
        root_joints: poses are relative to this joint, or to the middle of several.
        joint_weights: of each joint in the loss.
    """

    joints: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    left_joints: tuple[int, ...]
    right_joints: tuple[int, ...]
    root_joints: tuple[int, ...]
    joint_weights: tuple[float, ...]

    @classmethod
    def from_metainfo(cls, metainfo: Mapping) -> 'Skeleton':
        """Of a data set's metainfo, or a Skeleton as it is.

        Raises:
            ValueError: a key is missing, or an index or length does not fit the number of joints.
        """
        if isinstance(metainfo, Skeleton):
            return metainfo
        missing = [key for key in SKELETON_KEYS[:-1] if metainfo.get(key) is None]
        if missing:
            raise ValueError(f'the metainfo describes no skeleton: it lacks {", ".join(missing)}; a pose data set has '
                             f'{", ".join(SKELETON_KEYS)}')
        count = len(metainfo['joints'])
        weights = metainfo.get('joint_weights') or (1.0,) * count
        found = cls(tuple(metainfo['joints']), tuple((int(a), int(b)) for a, b in metainfo['edges']),
                    *(tuple(int(i) for i in metainfo[key]) for key in SKELETON_KEYS[2:5]),
                    tuple(float(w) for w in weights))
        used = {i for edge in found.edges for i in edge} | {*found.left_joints, *found.right_joints, *found.root_joints}
        if used and not 0 <= min(used) <= max(used) < count:
            raise ValueError(f'the skeleton has {count} joints, but its metainfo speaks of joint {max(used)}')
        if len(found.joint_weights) != count:
            raise ValueError(f'the skeleton has {count} joints, but {len(found.joint_weights)} joint_weights')
        if len(found.left_joints) != len(found.right_joints) or not found.root_joints:
            raise ValueError('left_joints and right_joints must be of one length, and root_joints name at least one joint')
        return found

    def __len__(self) -> int:
        return len(self.joints)

    def adjacency(self) -> np.ndarray:
        """(K, K) float32 as the papers on graph convolutions of poses have it, see `normalised_adjacency`."""
        return normalised_adjacency(len(self), self.edges)

    def mirror_order(self) -> list[int]:
        """Index of the joint that takes the place of each one when the picture is mirrored."""
        order = list(range(len(self)))
        for left, right in zip(self.left_joints, self.right_joints):
            order[left], order[right] = right, left
        return order


def normalised_adjacency(count: int, edges: Sequence[tuple[int, int]]) -> np.ndarray:
    """(count, count) float32: neighbours of a node share a weight of 1, each node keeps itself with weight 1.

    Rows are normalised before the diagonal is set, so the matrix is not symmetric (SemGCN, and KTPFormer after it).
    """
    matrix = np.zeros((count, count), np.float32)
    for a, b in edges:
        matrix[a, b] = matrix[b, a] = 1
    np.fill_diagonal(matrix, 0)
    matrix /= np.maximum(matrix.sum(1, keepdims=True), 1)
    np.fill_diagonal(matrix, 1)
    return matrix


def chain_adjacency(count: int) -> np.ndarray:
    """(count, count) float32 of frames in a row, each linked to the one before and the one after."""
    return normalised_adjacency(count, [(i, i - 1) for i in range(1, count)])


def relative_to_root(poses, root_joints: Sequence[int]):
    """(..., K, D) poses, arrays or tensors, minus their root; and the root (..., 1, D)."""
    root = poses[..., list(root_joints), :].mean(-2, keepdims=True) if len(root_joints) > 1 else \
        poses[..., root_joints[0]:root_joints[0] + 1, :]
    return poses - root, root


def mirror(points, order: Sequence[int]):
    """(..., K, D) points, arrays or tensors, mirrored left to right: x changes its sign, left and right their names."""
    mirrored = points[..., list(order), :]
    mirrored[..., 0] *= -1
    return mirrored
