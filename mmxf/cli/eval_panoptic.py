"""``mmxf eval_panoptic``: scores files in COCO's panoptic format, anyone's."""
import argparse
import sys

from ._errors import user_errors

SUMMARY = "panoptic quality of prediction files in COCO's format"


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='eval_panoptic', description='PQ, SQ and RQ of predictions in the official COCO panoptic '
        "format, equal to panopticapi's. The result holds All, Things, Stuff (pq, sq, rq in 0..1, n classes) "
        'and per_class by category id.')
    parser.add_argument('--gt', required=True, metavar='JSON', help='ground truth')
    parser.add_argument('--gt-dir', metavar='DIR', help='its PNGs (default: GT without .json)')
    parser.add_argument('--pred', required=True, metavar='JSON', help='predictions')
    parser.add_argument('--pred-dir', metavar='DIR', help='their PNGs (default: PRED without .json)')
    parser.add_argument('--out', metavar='JSON', help='where to write the result')
    parser.add_argument('--workers', type=int, metavar='N', help='processes (default: one a core, at most 8)')
    parser.add_argument('--no-classwise', action='store_true', help='print totals only')
    return parser.parse_args(argv)


@user_errors
def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    from ._outputs import check_file

    check_file(args.out, '--out')
    from mmxf.allocator import keep_freed_memory
    from mmxf.evaluation.panoptic_files import evaluate_files
    from mmxf.evaluation.panoptic_report import panoptic_table, write_json

    from ._progress import show_progress
    keep_freed_memory()                    # each image's maps lie where the last one's did
    try:
        results = evaluate_files(args.gt, args.pred, args.gt_dir, args.pred_dir, args.workers,
                                 show_progress('images'))
        if args.out:
            write_json(args.out, {**results, 'gt': args.gt, 'pred': args.pred})
    except (ValueError, OSError, RuntimeError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    for note in results['notes'][:10]:
        print(f'note: {note}', file=sys.stderr)
    if len(results['notes']) > 10:
        print(f"note: ... and {len(results['notes']) - 10} more, all in the result's notes", file=sys.stderr)
    print(panoptic_table(results, classwise=not args.no_classwise))
    if args.out:
        print(f'result: {args.out}')
    return 0
