"""Exports a fitted scikit-learn pipeline to ONNX with named inputs and outputs; knows nothing of what it predicts."""

import onnx
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType

# Well behind the newest operator sets, so that older runtimes load the files too.
OPSETS = {"": 17, "ai.onnx.ml": 3}


def to_onnx(pipeline, name: str, inputs: dict[str, tuple[str, int]], probability: str, classes: int) -> onnx.ModelProto:
    """`inputs`: name → ("BYTES" | "FP32", width), each becomes [-1, width], used by the pipeline or not.

    The outputs are `label` INT64 [-1] and `probability` FP32 [-1, classes]; each row sums to 1 ± 1e-6.
    """
    types = [
        (n, (StringTensorType if t == "BYTES" else FloatTensorType)([None, width])) for n, (t, width) in inputs.items()
    ]
    model = convert_sklearn(
        pipeline,
        name=name,
        initial_types=types,
        final_types=[("label", Int64TensorType([None])), (probability, FloatTensorType([None, classes]))],
        options={"zipmap": False},
        target_opset=OPSETS,
    )
    # skl2onnx lists the operator sets in the order of a set, so one training wrote two different files.
    opsets = sorted(model.opset_import, key=lambda opset: opset.domain)
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    return model
