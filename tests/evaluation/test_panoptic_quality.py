"""The arithmetic of panoptic quality, on arrays small enough to count by hand."""

import numpy as np
import pytest
from panoptic_cases import CATEGORY_IDS, plain_counts, random_scene

from mmxf.evaluation import panoptic_quality
from mmxf.evaluation.panoptic_quality import (
    ClassCounts,
    Segments,
    count_matches,
    segment_histogram,
    summarize,
)


def segments(ids, labels, crowd=None, areas=None):
    return Segments(
        np.array(ids, np.int64),
        np.array(labels, np.int64),
        None if crowd is None else np.array(crowd, bool),
        None if areas is None else np.array(areas),
    )


def score(gt, pred, gt_segments, pred_segments, num_classes=3):
    histogram = segment_histogram(np.atleast_2d(gt), np.atleast_2d(pred))
    counts = count_matches(histogram, gt_segments, pred_segments, num_classes)
    return [list(row) for row in zip(counts.tp, counts.fp, counts.fn, counts.iou)]


@pytest.mark.parametrize('bits', [18, 1])  # with a table of two slots nearly all pairs collide
def test_histogram_counts_every_pair(bits, monkeypatch):
    monkeypatch.setattr(panoptic_quality, 'HASH_BITS', bits)
    random = np.random.RandomState(0)
    gt, pred = random.randint(0, 4, (9, 13)) * 2**24, random.randint(0, 3, (9, 13))
    histogram = segment_histogram(gt, pred)
    found = {(g, p): n for g, p, n in zip(*histogram)}
    expected = {}
    for pair in zip(gt.ravel().tolist(), pred.ravel().tolist()):
        expected[pair] = expected.get(pair, 0) + 1
    assert found == expected
    assert list(found) == sorted(found) and len(found) == len(histogram[0])


def test_histogram_of_nothing_and_of_other_shapes():
    assert all(part.size == 0 for part in segment_histogram(np.zeros((0, 5), int), np.zeros((0, 5), int)))
    with pytest.raises(ValueError, match='ground truth is 4x3 .* prediction is 3x4'):
        segment_histogram(np.zeros((3, 4)), np.zeros((4, 3)))


def test_iou_of_exactly_half_is_no_match():
    # 2 shared pixels of a union of 4: both sides err; one pixel less in the union and they match.
    truth, guess = segments([5], [1]), segments([7], [1])
    assert score([9, 5, 5, 5], [0, 0, 7, 7], segments([5, 9], [1, 2]), guess)[1] == [1, 0, 0, 2 / 3]
    assert score([5, 5, 5, 5], [0, 0, 7, 7], truth, guess)[1] == [0, 1, 1, 0]


def test_a_match_needs_the_same_class():
    assert score([5, 5], [7, 7], segments([5], [0]), segments([7], [2])) == [
        [0, 0, 1, 0],
        [0, 0, 0, 0],
        [0, 1, 0, 0],
    ]


def test_void_leaves_the_union_and_excuses_predictions():
    # The prediction covers 2 pixels of truth and 2 of void: its IoU is 2 / 2.
    assert score([5, 5, 0, 0], [7, 7, 7, 7], segments([5], [0]), segments([7], [0]))[0] == [1, 0, 0, 1.0]
    # More than half on void: not counted; exactly half: a false positive.
    assert score([0, 0, 5], [7, 7, 7], segments([5], [1]), segments([7], [0]))[0] == [0, 0, 0, 0]
    assert score([0, 5], [7, 7], segments([5], [1]), segments([7], [0]))[0] == [0, 1, 0, 0]


def test_crowds_are_neither_matched_nor_missed_and_excuse_their_class():
    crowd = segments([5], [0], crowd=[True])
    assert score([5, 5, 5], [7, 7, 7], crowd, segments([7], [0]))[0] == [0, 0, 0, 0]
    assert score([5, 5, 5], [7, 7, 7], crowd, segments([7], [1]))[1] == [0, 1, 0, 0]


def test_of_two_crowds_of_a_class_the_last_listed_counts():
    gt, pred = [4, 4, 5], [7, 7, 7]
    guess = segments([7], [0])
    assert score(gt, pred, segments([4, 5], [0, 0], crowd=[True, True]), guess)[0] == [0, 1, 0, 0]
    assert score(gt, pred, segments([5, 4], [0, 0], crowd=[True, True]), guess)[0] == [0, 0, 0, 0]


def test_stated_areas_are_believed():
    assert score([5, 5], [7, 7], segments([5], [0], areas=[3]), segments([7], [0]))[0] == [1, 0, 0, 2 / 3]


def test_images_without_segments():
    none = segments([], [])
    assert score([5, 5], [0, 0], segments([5], [1]), none)[1] == [0, 0, 1, 0]
    assert score([0, 9], [7, 0], none, segments([7], [1]))[1] == [0, 0, 0, 0]
    assert score([9, 9], [7, 0], none, segments([7], [1]))[1] == [0, 1, 0, 0]
    with pytest.raises(ValueError, match='repeat'):
        segments([3, 3], [0, 1])


@pytest.mark.parametrize('seed', range(60))
def test_against_a_plain_second_implementation(seed):
    scene = random_scene(seed)
    gt, gt_infos, pred, pred_infos = scene
    label = {category_id: k for k, category_id in enumerate(CATEGORY_IDS)}
    truth = segments(
        [s['id'] for s in gt_infos],
        [label[s['category_id']] for s in gt_infos],
        [s['iscrowd'] for s in gt_infos],
        [s['area'] for s in gt_infos],
    )
    guess = segments([s['id'] for s in pred_infos], [label[s['category_id']] for s in pred_infos])
    np.testing.assert_allclose(
        score(gt, pred, truth, guess, len(CATEGORY_IDS)), list(plain_counts(*scene).values()), rtol=1e-12
    )


def test_averages_leave_out_classes_that_do_not_occur():
    counts = ClassCounts(
        tp=np.array([2, 0, 0, 1]),
        fp=np.array([2, 0, 1, 0]),
        fn=np.array([0, 0, 0, 0]),
        iou=np.array([1.8, 0, 0, 0.6]),
    )
    results = summarize(counts, ['a', 'b', 'c', 'd'], list('wxyz'), np.array([True, True, False, False]))
    assert results['Things'] == pytest.approx({'pq': 0.6, 'sq': 0.9, 'rq': 2 / 3, 'n': 1})
    assert results['Stuff'] == pytest.approx({'pq': 0.3, 'sq': 0.3, 'rq': 0.5, 'n': 2})
    assert results['All'] == pytest.approx({'pq': 0.4, 'sq': 0.5, 'rq': (2 / 3 + 1) / 3, 'n': 3})
    assert results['per_class']['b']['pq'] == 0 and results['per_class']['a']['name'] == 'w'


def test_nothing_at_all_scores_zero_without_dividing_by_it():
    results = summarize(ClassCounts.zeros(2), [1, 2], ['a', 'b'], np.array([True, False]))
    assert results['All'] == {'pq': 0.0, 'sq': 0.0, 'rq': 0.0, 'n': 0}
