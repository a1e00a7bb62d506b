"""The safetensors format (https://github.com/huggingface/safetensors): a JSON header and the bytes of the tensors.

Nothing in such a file can run code, and any program reads it. The format is small enough to need no dependency.
"""
from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

_TYPES = {'F64': torch.float64, 'F32': torch.float32, 'F16': torch.float16, 'BF16': torch.bfloat16, 'I64': torch.int64,
          'I32': torch.int32, 'I16': torch.int16, 'I8': torch.int8, 'U8': torch.uint8, 'BOOL': torch.bool}
_NAMES = {dtype: name for name, dtype in _TYPES.items()}
_MAX_HEADER = 100 << 20


def is_safetensors(head: bytes) -> bool:
    """Whether a file that begins so (at least 9 bytes) is of this format."""
    return len(head) > 8 and head[8:9] == b'{' and 0 < struct.unpack('<Q', head[:8])[0] <= _MAX_HEADER


def pack(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """Tensors, and texts about them, as the bytes of a file.

    Raises:
        TypeError: for a tensor of a type that the format does not have.
    """
    header: dict[str, Any] = {'__metadata__': dict(metadata)} if metadata else {}
    parts, place = [], 0
    for name, tensor in tensors.items():
        if tensor.dtype not in _NAMES:
            raise TypeError(f'{name} is of {tensor.dtype}, which safetensors does not have')
        plain = tensor.detach().cpu().contiguous()
        data = plain.reshape(-1).view(torch.uint8).numpy().tobytes() if plain.numel() else b''
        header[name] = dict(dtype=_NAMES[tensor.dtype], shape=list(tensor.shape), data_offsets=[place, place + len(data)])
        parts.append(data)
        place += len(data)
    text = json.dumps(header, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % 8)
    return b''.join([struct.pack('<Q', len(text)), text, *parts])


def unpack(data: bytes | bytearray, name: str = 'the file') -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and texts of the bytes of a file.

    Raises:
        ValueError: the bytes are cut off or not of this format; names the file.
    """
    try:
        length = struct.unpack('<Q', bytes(data[:8]))[0]
        header = json.loads(bytes(data[8:8 + length]).decode())
        texts = header.pop('__metadata__', {})
        tensors, buffer = {}, bytearray(data[8 + length:])
        for key, entry in header.items():
            begin, end = entry['data_offsets']
            dtype, shape = _TYPES[entry['dtype']], entry['shape']
            count = (end - begin) // dtype.itemsize
            if not 0 <= begin <= end <= len(buffer) or count != torch.Size(shape).numel():
                raise ValueError(f'{key} lies outside of the file')
            tensors[key] = torch.frombuffer(buffer, dtype=dtype, count=count, offset=begin).clone().view(shape) if count else \
                torch.empty(shape, dtype=dtype)
    except (ValueError, KeyError, struct.error, UnicodeDecodeError, TypeError) as error:
        raise ValueError(f'{name} is cut off, or no safetensors file ({type(error).__name__}: {error})') from error
    return tensors, texts


def checkpoint_of(data: bytes, name: str = 'the file') -> dict:
    """The bytes of a file as a checkpoint: dict(state_dict, meta), meta from the text 'mmxf' where mmxf wrote the file.

    Raises:
        ValueError: see `unpack`.
    """
    tensors, texts = unpack(data, name)
    try:
        meta = json.loads(texts.get('mmxf', '{}'))
    except ValueError:
        meta = {}
    return dict(state_dict=tensors, meta=meta)
