"""Runs an exported file on arrays of an .npz, without mmxf: ``python run_file.py FILE IN.npz OUT.npz``.

The arrays are named INPUT/0, INPUT/1 ...; outputs come as 0/0 (first run, first output), and ``seconds``.
"""
import sys
import time

import numpy as np


def runner(path: str):
    """Function of a list of arrays that gives a list of arrays."""
    if path.endswith('.onnx'):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
        names = [i.name for i in session.get_inputs()]
        return lambda arrays: session.run(None, dict(zip(names, arrays)))
    import torch

    module = torch.export.load(path).module()

    def run(arrays):
        with torch.no_grad():
            return [out.numpy() for out in module(*map(torch.from_numpy, arrays))]

    return run


def main(path: str, source: str, target: str) -> None:
    run = runner(path)
    with np.load(source) as arrays:
        runs: dict = {}
        for key in arrays.files:
            number, _, place = key.partition('/')
            runs.setdefault(int(number), {})[int(place)] = arrays[key]
    results, seconds = {}, []
    for number, inputs in sorted(runs.items()):
        start = time.perf_counter()
        outputs = run([inputs[i] for i in sorted(inputs)])
        seconds.append(time.perf_counter() - start)
        results.update({f'{number}/{i}': value for i, value in enumerate(outputs)})
    assert 'mmxf' not in sys.modules and 'mmengine' not in sys.modules
    np.savez(target, seconds=np.array(seconds), **results)


if __name__ == '__main__':
    main(*sys.argv[1:])
