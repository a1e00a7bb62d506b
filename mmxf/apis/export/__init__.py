"""Models as files that run without mmxf: torch's exported programs and ONNX.

`program.py` says what of a model is exported, `write.py` makes the files, `verify.py` compares them with the model.
"""
