"""A pass over a COCO annotation file, panoptic or of instances: every entry that no reader can use, with its image and one cause.

Readers, ours and mmdet's, stop at the first such entry, and mmdet's do not say which it was. They are fast and stay as they are:
the pass is made when one of them has failed, and by the data set check. The format: https://cocodataset.org/#format-data.
"""
from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmxf.registry import DATASETS

from .errors import DatasetError

SHOWN = 5       # entries named in an error
READER_ERRORS = (KeyError, ValueError, TypeError, IndexError, AttributeError, AssertionError)
LISTS = ('images', 'annotations', 'categories')
READERS = ('mmdet/datasets', 'mmdet/datasets/api_wrappers', '/pycocotools')     # folders of modules


@dataclass(frozen=True)
class Fault:
    """An entry that cannot be used.

    Args:
        kind: what is wrong, the same for all such entries.
        place: which entry, and of which image.
        seen: the cause.
        cure: what to do.
    """

    kind: str
    place: str
    seen: str
    cure: str


def read_annotation_file(path: str | os.PathLike) -> Any:
    """What a JSON file holds.

    Raises:
        DatasetError: it is no JSON.
    """
    try:
        with open(path, encoding='utf-8') as file:
            return json.load(file)
    except ValueError as error:     # also bytes that are no text
        raise DatasetError(f'{path} is no valid JSON ({error}); a cut-off download? Get it again') from error


def is_coco(content: Any) -> bool:
    """Whether a JSON is an annotation file of COCO's kinds; data sets of another's making have others."""
    return isinstance(content, Mapping) and 'images' in content and 'annotations' in content


def is_panoptic(content: Mapping) -> bool:
    """Whether annotations list segments, one annotation an image; else one is an object."""
    return any(isinstance(a, Mapping) and 'segments_info' in a for a in content.get('annotations') or ())


def examine(content: Any) -> tuple[list[Fault], dict]:
    """All entries that cannot be used, and the content without them.

    Of a panoptic file the second leaves out the whole image, since the segment's pixels are still in its PNG; of instances the
    object alone. A file of neither kind (captions) has no faults.

    Args:
        content: of the JSON.

    Returns:
        the faults in the order of the file; the content without them, whose entries are those of `content`.
    """
    cure = 'expected a COCO annotation file: {"images": [...], "annotations": [...], "categories": [...]}'
    if not isinstance(content, Mapping):
        return [Fault('annotation files of another format', 'the whole file', f'holds a {type(content).__name__}', cure)], {}
    found = [Fault('annotation files of another format', f'its {key!r}', f'is a {type(content[key]).__name__}, no list', cure)
             for key in LISTS if not isinstance(content.get(key, []), list)]
    if found:
        return found, {}
    images, categories = {}, []
    for number, image in enumerate(content.get('images', ())):
        fault = _image_fault(image, number)
        if fault is None:
            images[image['id']] = image
        else:
            found.append(fault)
    for number, category in enumerate(content.get('categories', ())):
        if isinstance(category, Mapping) and _is_id(category.get('id')):
            categories.append(category)
        else:
            found.append(Fault('categories without an id', f'category {number} of the list', f'{category!r}'[:80],
                               'give it an "id", a number of its own'))
    known = {category['id'] for category in categories}
    panoptic = is_panoptic(content)
    # Images that the second result leaves out are still known: their annotations have no fault of their own.
    listed = {image['id']: image for image in content.get('images', ()) if isinstance(image, Mapping) and _is_id(image.get('id'))}
    kept, left_out, ids = [], set(), set()
    for number, annotation in enumerate(content.get('annotations', ())):
        faults = list((_panoptic_faults if panoptic else _object_faults)(annotation, number, listed, known))
        if not faults and not panoptic and 'id' in annotation and 'bbox' in annotation:
            if annotation['id'] in ids:
                faults = [Fault('annotation ids that occur twice', _name(annotation, number, listed), f'id {annotation["id"]!r}',
                                'give every annotation an id of its own')]
            ids.add(annotation['id'])
        found += faults
        if not faults and annotation.get('image_id') in images:
            kept.append(annotation)
        elif panoptic and isinstance(annotation, Mapping) and _is_id(annotation.get('image_id')):
            left_out.add(annotation['image_id'])
    kept_images = [image for id, image in images.items() if id not in left_out]
    return found, {**content, 'images': kept_images, 'annotations': kept, 'categories': categories}


def describe(path: str, found: Iterable[Fault]) -> str:
    """One message of all faults of a file, the first few named."""
    found = list(found)
    lines = [f'{fault.place}: {fault.seen}' for fault in found[:SHOWN]]
    cures = [f'  -> {cure}' for cure in dict.fromkeys(fault.cure for fault in found)]
    if len(found) == 1:
        return '\n'.join([f'{path}: {lines[0]}', *cures])
    more = [f'  ... and {len(found) - SHOWN} more; mmxf check-dataset CONFIG --json FILE lists all'] if len(found) > SHOWN else []
    return '\n'.join([f'{path}: {len(found)} entries cannot be used', *(f'  {line}' for line in lines), *more, *cures])


def annotation_files(config: Any) -> Iterator[tuple[dict, str]]:
    """Every part of a data set's config that names a JSON which is there, and its path."""
    if isinstance(config, Mapping):
        file = config.get('ann_file')
        if isinstance(file, str) and file.endswith('.json'):
            path = os.path.join(config.get('data_root') or '', file)
            if os.path.isfile(path):
                yield config, path
        config = list(config.values())
    if isinstance(config, (list, tuple)):
        for value in config:
            yield from annotation_files(value)


def build_dataset(config: dict) -> Any:
    """A data set built by our registry; a reader's error over an entry of its file becomes one that names the entry.

    Raises:
        DatasetError: all entries of its annotation files that cannot be used. Other errors pass.
    """
    try:
        return DATASETS.build(config)
    except READER_ERRORS as error:
        said = None if isinstance(error, DatasetError) else faults_of(config)
        if said:
            # The reader's own words too: the cause may be another, such as a misspelt argument.
            raise DatasetError(f'{said}\n{config.get("type")} stopped with {type(error).__name__}: {error}') from error
        raise


def faults_of(config: Any) -> str | None:
    """All entries of the annotation files that a config names that cannot be used, in one message; None where there are none."""
    said = []
    for _, path in annotation_files(config):
        content = read_annotation_file(path)
        found = examine(content)[0] if is_coco(content) else []
        said += [describe(path, found)] if found else []
    return '\n'.join(dict.fromkeys(said)) or None


def faults_behind(error: Exception, config: Any) -> str | None:
    """The same for an error of mmdet's readers while mmengine built the data sets of a whole config; None for others."""
    frame = error.__traceback__
    while frame is not None:
        if Path(frame.tb_frame.f_code.co_filename).parent.as_posix().endswith(READERS):
            said = faults_of([config.get(f'{split}_dataloader') for split in ('train', 'val', 'test')])
            return said and f'{said}\nthe reader stopped with {type(error).__name__}: {error}'
        frame = frame.tb_next
    return None


def is_box(value: Any) -> bool:
    """Four numbers."""
    return isinstance(value, (list, tuple)) and len(value) == 4 and all(map(_is_number, value))


def _image_fault(image: Any, number: int) -> Fault | None:
    kind, cure = 'images that cannot be used', 'an image has "id", "file_name", "height" and "width" in pixels'
    if not isinstance(image, Mapping):
        return Fault(kind, f'image {number} of the list', f'is a {type(image).__name__}', cure)
    place = f'image {image["id"]!r} ({image.get("file_name")})' if 'id' in image else f'image {number} of the list'
    for key, right in (('id', _is_id), ('file_name', _is_name), ('height', _is_number), ('width', _is_number)):
        if not right(image.get(key)):
            return Fault(kind, place, f'has no {key}' if key not in image else f'{key} is {image[key]!r}', cure)
    return None


def _panoptic_faults(annotation: Any, number: int, images: Mapping, categories: set) -> Iterator[Fault]:
    kind, cure = 'annotations that cannot be used', ('a panoptic annotation has "image_id", "file_name" of its PNG and '
                                                     '"segments_info", a list')
    fault = _unlisted(annotation, number, images)
    if fault is not None:
        yield fault
        return
    place = f'image {annotation["image_id"]!r} ({images[annotation["image_id"]].get("file_name")})'
    for key, right in (('file_name', str), ('segments_info', list)):
        if not isinstance(annotation.get(key), right):
            yield Fault(kind, f'annotation of {place}', f'has no {key}' if key not in annotation else
                        f'{key} is {annotation[key]!r}'[:80], cure)
            return
    for position, segment in enumerate(annotation['segments_info']):
        if not isinstance(segment, Mapping) or not isinstance(segment.get('id'), int):
            yield Fault('segments without an id', f'{place}, segment {position} of the list', f'{segment!r}'[:80],
                        'a segment has an "id", R + 256 G + 65536 B of its pixels in the PNG')
            continue
        fault = _category_fault(segment, f'{place}, segment {segment["id"]}', categories)
        if fault is not None:
            yield fault


def _object_faults(annotation: Any, number: int, images: Mapping, categories: set) -> Iterator[Fault]:
    fault = _unlisted(annotation, number, images)
    if fault is None and 'bbox' in annotation:       # else of another task, captions for instance
        place = _name(annotation, number, images)
        fault = _category_fault(annotation, place, categories)
        if fault is None and not is_box(annotation['bbox']):
            fault = Fault('boxes that are not four numbers', place, f'bbox is {annotation["bbox"]!r}'[:120],
                          'COCO boxes are x, y, width, height in pixels')
        for key, right in (('id', _is_id), ('area', _is_number)):
            if fault is None and not right(annotation.get(key)):
                seen = f'has no {key}' if key not in annotation else f'{key} is {annotation[key]!r}'[:80]
                fault = Fault('annotations that cannot be used', place, seen, 'an annotation has "id", "image_id", '
                              '"category_id", "bbox" and "area" (in pixels; of a box without outline, width x height)')
    if fault is not None:
        yield fault


def _unlisted(annotation: Any, number: int, images: Mapping) -> Fault | None:
    if not isinstance(annotation, Mapping) or not _is_id(annotation.get('image_id')):
        return Fault('annotations without an image_id', f'annotation {number} of the list', f'{annotation!r}'[:80],
                     'say which image it belongs to')
    if annotation['image_id'] in images:
        return None
    return Fault('annotations of images that the file does not list', _name(annotation, number, images),
                 f'image_id {annotation["image_id"]!r} is not among the images', 'add the image, or take the annotation out')


def _category_fault(entry: Mapping, place: str, categories: set) -> Fault | None:
    number = entry.get('category_id')
    if _is_id(number) and number in categories:
        return None
    some = sorted(map(str, categories), key=lambda text: (len(text), text))
    seen = f'category_id {number!r} is not among the categories of the file' if 'category_id' in entry else 'has no category_id'
    return Fault('annotations of categories that the file does not list', place,
                 f'{seen} (ids {", ".join(some[:12])}{" ..." if len(some) > 12 else ""})',
                 'category ids must be those of the categories list')


def _name(annotation: Mapping, number: int, images: Mapping) -> str:
    """Of an annotation: its id (else its position) and its image."""
    own = f'annotation {annotation["id"]}' if 'id' in annotation else f'annotation {number} of the list'
    image = images.get(annotation['image_id'])
    return own + (f' of image {annotation["image_id"]!r} ({image.get("file_name")})' if image is not None else '')


def _is_id(value: Any) -> bool:
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def _is_name(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
