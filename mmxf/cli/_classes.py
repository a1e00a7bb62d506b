"""The demo of classifiers: pictures with their classes, and all scores as JSON."""
import json
import sys
import time
from pathlib import Path


def name_classes(model) -> None:
    """Gives numbers to the classes of a model whose config and checkpoint name none, as converted ones do."""
    if not model.dataset_meta.get('classes'):
        model.dataset_meta = {**model.dataset_meta, 'classes': tuple(f'class {i}' for i in range(model.num_classes))}


def ranked(sample, classes, count: int) -> list[tuple[str, float]]:
    """(name, probability) of the likeliest classes, the first first."""
    scores, labels = sample.pred_scores.topk(min(count, len(sample.pred_scores)))
    return [(classes[label], score) for label, score in zip(labels.tolist(), scores.tolist())]


def run_classification(model, files: list[Path], root: Path, out_dir: Path, args) -> int:
    """Classifies images; writes each with its classes, and `classes.json`: file name to a list of {class, score}."""
    from mmxf.apis.streaming import Speed, Writers, predict_stream
    from mmxf.visualization import write_image
    from mmxf.visualization.classes import draw_classes

    found: dict[str, list[dict]] = {}
    bad, said, speed = [], time.time(), Speed()

    def write(file: Path, image, classes):
        out = out_dir / file.relative_to(root).with_suffix('.png')
        if out.resolve() == file.resolve():
            out = out.with_name(f'{out.stem}_classes.png')
        return write_image(out, draw_classes(image[..., ::-1], classes)), classes

    def say(results) -> None:
        nonlocal said
        for out, classes in results:
            if len(files) <= 20 or time.time() - said > 5:
                said = time.time()
                print(f'[{len(found) + len(bad)}/{len(files)}] {out}   {classes[0][0]} {classes[0][1]:.3f}')

    with Writers(args.workers) as writers:
        for one in predict_stream(model, ((file, file) for file in files), args.batch_size, args.workers, speed=speed):
            if one.error is not None:
                bad.append(one.key)
                print(f'skipped: {one.error}', file=sys.stderr)
                continue
            classes = ranked(one.sample, model.dataset_meta['classes'], args.topk)
            found[str(one.key.relative_to(root))] = [{'class': name, 'score': round(score, 6)} for name, score in classes]
            say(writers.put(write, one.key, one.image, classes))
        say(writers.rest())
    out_dir.mkdir(parents=True, exist_ok=True)
    (out_dir / 'classes.json').write_text(json.dumps(found, indent=1))
    print(f'{len(found)} pictures in {out_dir}, scores in {out_dir / "classes.json"}'
          + (f'; {len(bad)} of {len(files)} files could not be read: {", ".join(map(str, bad[:10]))}' if bad else ''))
    if found:
        print(speed.text())
    return 0 if found else 1
