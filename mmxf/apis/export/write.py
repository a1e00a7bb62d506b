"""Programs to files: torch's own format (.pt2) and ONNX, each with a JSON beside it that says how to use it."""
from __future__ import annotations

import importlib.util
import json
import logging
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor

from mmxf.config import UserError

from .detection_ops import translations
from .program import Program
from .sizes import AnySize

SUFFIXES = {'torch-export': '.pt2', 'onnx': '.onnx'}
ONNX_PACKAGES = ('onnx', 'onnxscript', 'onnxruntime')
# 2.6 is known to fail (names that it gives twice), 2.13 to work; what lies between was not tried.
ONNX_TORCH, TESTED_TORCH = '2.7', '2.13'
# Sizes that a file of dynamic size serves keep the remainder by this (641 = 10 * 64 + 1): maps of all strides up to 32 are
# then odd, or all even, on which the resizing rule of models for odd crops depends.
STEP = 64


def onnx_problem() -> str | None:
    """What is in the way of writing ONNX files here, and what to do; None where nothing is."""
    if torch.__version__ < ONNX_TORCH:
        return (f'--format onnx needs torch >= {ONNX_TORCH} (tested with {TESTED_TORCH}), found {torch.__version__}: install '
                'that, or use --format torch-export')
    absent = [name for name in ONNX_PACKAGES if importlib.util.find_spec(name) is None]
    return f'--format onnx needs {", ".join(absent)}, not installed here: pip install {" ".join(absent)}' if absent else None


def check_packages() -> None:
    """Raises UserError where what ONNX files need is not installed."""
    problem = onnx_problem()
    if problem:
        raise UserError(problem)


def torch_problem(program: Program | type[Program], dynamic: Sequence[str] = ()) -> str | None:
    """Why this torch cannot trace a program, with 'batch' and 'size' varying or not; None where it can."""
    least = program.least_torch_any_size if 'size' in dynamic else program.least_torch
    if torch.__version__ >= least:
        return None
    what = 'exporting with --dynamic size' if 'size' in dynamic else 'exporting'
    return f'{what} needs torch >= {least} (tested with {TESTED_TORCH}), found {torch.__version__}'


def dynamic_shapes(program: Program, arguments: Sequence[Tensor], dynamic: Sequence[str]) -> tuple | None:
    """torch.export's description of what may vary: 'batch', and 'size' for the axes that the program names."""
    if not dynamic:
        return None
    batch, shapes = torch.export.Dim('batch', min=1, max=1024), []
    for name, value in zip(program.inputs, arguments):
        axes: dict = {0: batch} if 'batch' in dynamic else {}
        if 'size' in dynamic:
            for axis, label in program.dynamic.get(name, {}).items():
                rest = value.shape[axis] % STEP
                steps = torch.export.Dim(label, min=1, max=64)
                axes[axis] = STEP * steps + rest if rest else STEP * steps
        shapes.append(axes)
    return tuple(shapes)


def trace(program: Program, arguments: Sequence[Tensor], dynamic: Sequence[str] = ('batch',)) -> torch.export.ExportedProgram:
    """The program as torch's exported program.

    Args:
        program: of `program_of`.
        arguments: inputs of the size that the file is for; a dynamic batch is traced with two.
        dynamic: any of 'batch' and 'size'.

    Raises:
        UserError: where the model fixes what should be dynamic, or does what no exported file can hold.
    """
    problem = torch_problem(program, dynamic)
    if problem:
        raise UserError(f'{type(program.model).__name__}: {problem}')
    if 'batch' in dynamic:      # a batch of one would be taken for a constant
        arguments = tuple(torch.cat([value, value])[:2] for value in arguments)
    if 'size' in dynamic and not any(program.dynamic.get(name) for name in program.inputs):
        raise UserError(f'--dynamic size: {type(program.model).__name__} has one size only')
    if 'size' in dynamic:       # sizes of several steps, different ones, so that none is taken for a constant
        arguments = tuple(_several_steps(value, list(program.dynamic.get(name, {})))
                          for name, value in zip(program.inputs, arguments))
    shapes = dynamic_shapes(program, arguments, dynamic)
    program.requires_grad_(False)
    # With gradients on, layers take their plain path: what they fold and fuse for inference is for this machine alone.
    with torch.enable_grad(), warnings.catch_warnings(), AnySize() if 'size' in dynamic else nullcontext():
        warnings.simplefilter('ignore')
        try:
            return torch.export.export(program, tuple(arguments), dynamic_shapes=shapes, strict=False)
        except torch._dynamo.exc.UserError as error:
            if shapes is None:
                raise
            reason = next((line.strip(' -') for line in str(error).splitlines() if 'specialized' in line or 'alid' in line),
                          str(error).splitlines()[0])
            raise UserError(f'{type(program.model).__name__} cannot be exported with a dynamic {" and ".join(dynamic)}: '
                            f'{reason[:300]}\nLeave out --dynamic size (one file a size), or say --dynamic none') from error


def _several_steps(value: Tensor, axes: Sequence[int]) -> Tensor:
    """A tensor of a few steps along the axes; what it holds does not matter to a trace."""
    shape = list(value.shape)
    for number, axis in enumerate(axes):
        shape[axis] = shape[axis] % STEP + STEP * (3 + 2 * number)
    return value.new_zeros(shape)


def write_torch(exported: torch.export.ExportedProgram, path: Path) -> None:
    """A .pt2 file, which ``torch.export.load`` reads."""
    torch.export.save(exported, str(path))


def write_onnx(exported: torch.export.ExportedProgram, program: Program, arguments: Sequence[Tensor], path: Path) -> None:
    """One .onnx file with weights inside, inputs and outputs named."""
    check_packages()
    quiet = logging.getLogger('torch.onnx')
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            made = torch.onnx.export(exported, tuple(arguments), input_names=list(program.inputs),
                                     output_names=list(program.outputs), dynamo=True, verbose=False,
                                     custom_translation_table=translations())
            made.save(str(path), external_data=False)
    except torch.onnx.errors.OnnxExporterError as error:
        reason = error.__cause__ or error       # the node, not the advice of torch's developers
        raise UserError(f'{type(program.model).__name__} holds what ONNX cannot say: {str(reason).splitlines()[0][:300]}\n'
                        '--format torch-export can hold it; of --dynamic size, so may a file of one size') from error
    finally:
        quiet.setLevel(level)


def describe(program: Program, exported: torch.export.ExportedProgram, dynamic: Sequence[str]) -> dict:
    """What the JSON beside the file says: names and shapes, None where they may vary, and the program's notes."""
    nodes = {node.name: node.meta.get('val') for node in exported.graph.nodes}
    user = exported.graph_signature

    def shapes(names: Sequence[str], labels: Sequence[str]) -> dict:
        return {label: [size if isinstance(size, int) else None for size in nodes[name].shape]
                for label, name in zip(labels, names)}

    return dict(inputs=shapes(user.user_inputs, program.inputs), outputs=shapes(user.user_outputs, program.outputs),
                dynamic=list(dynamic), **program.notes)


def write_notes(path: Path, notes: dict) -> Path:
    """The JSON beside an exported file."""
    target = path.with_name(path.name + '.json')
    target.write_text(json.dumps(notes, indent=1) + '\n')
    return target
