"""A checkpoint for others: weights alone, as safetensors, with its sum and an entry for a metafile."""

import argparse
import json
from pathlib import Path

from ._errors import user_errors

SUMMARY = 'Strip a checkpoint and write safetensors, SHA-256 and a metafile entry'
PACKAGES = ('torch', 'onedl-mmengine', 'mmengine', 'onedl-mmcv', 'mmcv', 'onedl-mmdetection', 'mmdet', 'onedl-mmsegmentation',
            'mmsegmentation', 'mmxf')


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=SUMMARY)
    parser.add_argument('config', metavar='CONFIG', help='config file that the checkpoint was trained with')
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='checkpoint of a run')
    parser.add_argument('--out-dir', default='published', help='folder of the files (default: published)')
    parser.add_argument('--name', help='of the model (default: that of the config)')
    parser.add_argument('--metrics', metavar='FILE', help="JSON of mmxf test --out; goes into the entry")
    parser.add_argument('--data', metavar='TEXT', help='what it was trained on (default: kind and folder of the data set)')
    parser.add_argument('--url', metavar='URL', help='folder that the file will be found in')
    parser.add_argument('--metafile', metavar='FILE', help='append the entry there, for instance configs/kmax/metafile.yml')
    parser.add_argument('--trust-pickle', '--allow-pickle', dest='allow_pickle', action='store_true',
                        help='load a checkpoint that may run code of whoever made it; only for files that you trust')
    parser.add_argument('--cfg-options', nargs='+', default=None, metavar='KEY=VALUE', help='override config values')
    return parser.parse_args(argv)


@user_errors
def main(argv=None) -> int:
    args = parse_args(argv)
    from ._outputs import check_file, check_folder

    check_folder(args.out_dir, '--out-dir')
    check_file(args.metafile, '--metafile')
    import hashlib

    from mmxf.apis import build_model, load_checkpoint, open_config
    from mmxf.apis.checkpoint import load_weights, state_dict_of
    from mmxf.config.overrides import parse_options
    from mmxf.engine.atomic_files import write_atomically
    from mmxf.engine.safetensors_io import pack

    cfg = open_config(args.config, parse_options(args.cfg_options))
    model = build_model(cfg)
    load_weights(model, args.checkpoint, allow_pickle=args.allow_pickle)        # what does not fit is nothing to publish
    checkpoint = load_checkpoint(args.checkpoint, allow_pickle=args.allow_pickle)
    state = state_dict_of(checkpoint)
    metrics = read_metrics(args.metrics) if args.metrics else {}
    name = args.name or Path(args.config).stem
    if args.metafile:
        check_metafile(Path(args.metafile), name)
    meta = dict(dataset_meta=plain(stored_meta(checkpoint).get('dataset_meta') or model.dataset_meta),
                config=str(args.config), iterations=stored_meta(checkpoint).get('iter'), versions=versions())
    data = pack(state, {'format': 'pt', 'mmxf': json.dumps(meta)})
    total = hashlib.sha256(data).hexdigest()
    out = Path(args.out_dir) / f'{name}-{total[:8]}.safetensors'
    write_atomically(out, data)
    write_atomically(out.with_suffix('.sha256'), f'{total}  {out.name}\n'.encode())
    write_atomically(out.with_suffix('.py'), cfg.pretty_text.encode())
    entry = metafile_entry(args, name, cfg, model, meta, metrics, out.name, total)
    write_atomically(out.with_suffix('.yml'), entry.encode())
    if args.metafile:
        path = Path(args.metafile)
        text = path.read_text(encoding='utf-8').rstrip('\n')
        write_atomically(path, f'{text}\n{entry}'.encode())
    before, after = Path(args.checkpoint).stat().st_size, len(data)
    if not metrics:
        print('note: no --metrics: the entry has no results')
    print(f'{out}: {len(state)} tensors, {after / 2**20:.1f} MB (was {before / 2**20:.1f}), SHA-256 {total}')
    print('beside it: .sha256, the config as it was run (.py), the entry (.yml)' + (f', also in {args.metafile}' if args.metafile
                                                                                  else ''))
    return 0


def stored_meta(checkpoint: dict) -> dict:
    """The ``meta`` of a checkpoint, empty without one."""
    meta = checkpoint.get('meta')
    return meta if isinstance(meta, dict) else {}


def versions() -> dict[str, str]:
    """Of the packages that the numbers depend on."""
    from mmxf.environment import installed_version

    return {name: version for name in PACKAGES if (version := installed_version(name))}


def read_metrics(path: str) -> dict[str, float]:
    """Numbers of a metrics file. Raises UserError where it is none."""
    from mmxf.config import UserError

    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
        return {key: round(float(value), 4) for key, value in content.items() if isinstance(value, (int, float))}
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f'--metrics {path}: expected the JSON that mmxf test --out writes ({error})') from None


def check_metafile(path: Path, name: str) -> None:
    """Raises UserError for a file that an entry cannot be appended to."""
    from mmxf.config import UserError

    if not path.is_file():
        raise UserError(f'--metafile {path}: no such file')
    text = path.read_text(encoding='utf-8')
    if 'Models:' not in text:
        raise UserError(f'--metafile {path} has no list of Models')
    if any(line.split('#')[0].strip() == f'- Name: {name}' for line in text.splitlines()):
        raise UserError(f'--metafile {path} has an entry of the name {name} already: give another --name, or take that one out')


def metafile_entry(args, name: str, cfg, model, meta: dict, metrics: dict, file: str, total: str) -> str:
    """The entry as YAML, indented as an item of ``Models``."""
    import yaml

    from mmxf.apis.init_model import innermost_dataset

    def dataset(split: str) -> str | None:
        found = innermost_dataset((cfg.get(f'{split}_dataloader') or {}).get('dataset')) or {}
        return ' '.join(str(found[key]) for key in ('type', 'data_root') if found.get(key)) or None

    entry: dict = {'Name': name, 'Config': str(args.config), 'Metadata': {
        'Parameters': sum(p.numel() for p in model.parameters()), 'Training Data': args.data or dataset('train'),
        'Iterations': meta['iterations'], 'Versions': meta['versions']}}
    if metrics:
        entry['Results'] = [{'Task': type(model).__name__, 'Dataset': dataset('test') or dataset('val'), 'Metrics': metrics}]
    entry['Weights'] = f'{args.url.rstrip("/")}/{file}' if args.url else file
    entry['SHA256'] = total
    text = yaml.safe_dump([entry], sort_keys=False, allow_unicode=True, width=120)
    return ''.join('  ' + line for line in text.splitlines(keepends=True))


def plain(value):
    """Tuples and arrays as lists, for JSON."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value.tolist() if hasattr(value, 'tolist') else value
