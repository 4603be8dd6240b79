# An ONNX file as a custom runtime of MLServer, with one thread as the gateway has it. The payload's lists go straight into
# arrays: MLServer's own codecs cost more. A batch is one request with more rows.
import numpy as np
import onnxruntime
from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput

DTYPES = {"BYTES": np.object_, "FP32": np.float32}


class OnnxModel(MLModel):
    async def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        self._session = onnxruntime.InferenceSession(
            self.settings.parameters.uri, options, providers=["CPUExecutionProvider"]
        )
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        feeds = {
            given.name: np.array(given.data.root, DTYPES[given.datatype]).reshape(given.shape) for given in payload.inputs
        }
        label, probability = self._session.run(None, feeds)
        return InferenceResponse(
            model_name=self.name,
            model_version=self.version,
            outputs=[
                ResponseOutput(name="label", datatype="INT64", shape=label.shape, data=label.tolist()),
                ResponseOutput(
                    name="probability", datatype="FP32", shape=probability.shape, data=probability.ravel().tolist()
                ),
            ],
        )
