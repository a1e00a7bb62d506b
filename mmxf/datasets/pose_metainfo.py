"""Skeletons of the pose data sets: the one place where joints, bones, mirror pairs and roots are written.

Weights of joints in the loss are KTPFormer's for Human3.6M and HumanEva; for the others the same rule by body part (trunk 1, head
and shoulders 1.5, knees and ankles 2.5, elbows and wrists 4) is ours, as the official code has none.
"""


def _edges(parents):
    return tuple((child, parent) for child, parent in enumerate(parents) if parent >= 0)


# Human3.6M, the 17 of 32 joints that papers use (VideoPose3D).
H36M_METAINFO = dict(
    joints=('pelvis', 'right_hip', 'right_knee', 'right_ankle', 'left_hip', 'left_knee', 'left_ankle', 'spine', 'thorax',
            'neck', 'head_top', 'left_shoulder', 'left_elbow', 'left_wrist', 'right_shoulder', 'right_elbow', 'right_wrist'),
    edges=_edges((-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)),
    left_joints=(4, 5, 6, 11, 12, 13),
    right_joints=(1, 2, 3, 14, 15, 16),
    root_joints=(0,),
    joint_weights=(1, 1, 2.5, 2.5, 1, 2.5, 2.5, 1, 1, 1, 1.5, 1.5, 4, 4, 1.5, 4, 4))
# Where these 17 are among the 32 of data_3d_h36m.npz.
H36M_OF_32 = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)

# MPI-INF-3DHP, the 17 'relevant' joints of its evaluation; the root is the pelvis, number 14.
MPI_INF_3DHP_METAINFO = dict(
    joints=('head_top', 'neck', 'right_shoulder', 'right_elbow', 'right_wrist', 'left_shoulder', 'left_elbow', 'left_wrist',
            'right_hip', 'right_knee', 'right_ankle', 'left_hip', 'left_knee', 'left_ankle', 'pelvis', 'spine', 'head'),
    edges=_edges((16, 15, 1, 2, 3, 1, 5, 6, 14, 8, 9, 14, 11, 12, -1, 14, 1)),
    left_joints=(5, 6, 7, 11, 12, 13),
    right_joints=(2, 3, 4, 8, 9, 10),
    root_joints=(14,),
    joint_weights=(1.5, 1, 1.5, 4, 4, 1.5, 4, 4, 1, 2.5, 2.5, 1, 2.5, 2.5, 1, 1, 1.5))

# HumanEva, 15 joints (VideoPose3D).
HUMANEVA_METAINFO = dict(
    joints=('pelvis', 'thorax', 'left_shoulder', 'left_elbow', 'left_wrist', 'right_shoulder', 'right_elbow', 'right_wrist',
            'left_hip', 'left_knee', 'left_ankle', 'right_hip', 'right_knee', 'right_ankle', 'head'),
    edges=_edges((-1, 0, 1, 2, 3, 1, 5, 6, 0, 8, 9, 0, 11, 12, 1)),
    left_joints=(2, 3, 4, 8, 9, 10),
    right_joints=(5, 6, 7, 11, 12, 13),
    root_joints=(0,),
    # As the official code has them; they would fit another order of joints better.
    joint_weights=(1, 1, 2.5, 2.5, 1, 2.5, 2.5, 1, 1.5, 1.5, 4, 4, 1.5, 4, 4))

# COCO has no pelvis: the root is the middle of the hips.
COCO_17_METAINFO = dict(
    joints=('nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear', 'left_shoulder', 'right_shoulder', 'left_elbow',
            'right_elbow', 'left_wrist', 'right_wrist', 'left_hip', 'right_hip', 'left_knee', 'right_knee', 'left_ankle',
            'right_ankle'),
    edges=((0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 6), (5, 7), (7, 9), (6, 8), (8, 10), (5, 11), (6, 12),
           (11, 12), (11, 13), (13, 15), (12, 14), (14, 16)),
    left_joints=(1, 3, 5, 7, 9, 11, 13, 15),
    right_joints=(2, 4, 6, 8, 10, 12, 14, 16),
    root_joints=(11, 12),
    joint_weights=(1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 4, 4, 4, 4, 1, 1, 2.5, 2.5, 2.5, 2.5))

# For files of keypoints: what their joints may be.
SKELETONS = dict(h36m=H36M_METAINFO, mpi_inf_3dhp=MPI_INF_3DHP_METAINFO, humaneva=HUMANEVA_METAINFO, coco=COCO_17_METAINFO)
