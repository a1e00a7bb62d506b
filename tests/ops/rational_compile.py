"""Compiles the Triton kernels for NVIDIA's sm_90 without a GPU; exit status 77 where this Triton cannot."""
import sys

import triton
import triton.language as tl

from mmxf.ops import rational_triton

try:
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource
    TARGET = GPUTarget('cuda', 90, 32)
except ImportError as error:
    print(f'this Triton compiles only for a GPU at hand: {error}')
    sys.exit(77)


def ptx(kernel, pointers: dict[str, str], **constants) -> str:
    names = kernel.arg_names
    signature = {name: 'constexpr' if name in constants else pointers.get(name, 'i32') for name in names}
    # As at a launch: addresses and the size of a row are multiples of 16.
    aligned = {(i,): [['tt.divisibility', 16]] for i, name in enumerate(names) if name in pointers or name == 'stride'}
    source = ASTSource(kernel, signature=signature, constexprs=constants, attrs=aligned)
    return triton.compile(source, target=TARGET, options=dict(num_warps=4)).asm['ptx']


# Each length of runs and each type once: a compilation takes seconds.
for inner, kinds in ((24, ['fp32']), (96, ['bf16']), (0, ['fp32'])):
    for kind in kinds:
        aligned_run = inner > 0              # runs of channels-first images need not be multiples of 16 bytes
        constants = dict(M=6, N=4, INNER=inner, BLOCK=1024, WIDE=False, COMPUTE=tl.float32)
        tensors = dict.fromkeys(('x_ptr', 'y_ptr', 'grad_ptr', 'dx_ptr'), f'*{kind}')
        tensors |= dict.fromkeys(('a_ptr', 'b_ptr', 'sums_ptr'), '*fp32')
        for kernel, more in ((rational_triton.forward_kernel, {}),
                             (rational_triton.backward_kernel, dict(COEFFICIENTS=True))):
            text = ptx(kernel, tensors, **constants, **more)
            assert 'atom' not in text and 'red.global' not in text, 'atomics'
            if aligned_run:
                assert 'ld.global.v4' in text and 'st.global.v4' in text, f'{kernel}: loads of less than 16 bytes'
