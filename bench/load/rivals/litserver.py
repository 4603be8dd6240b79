# An ONNX file behind LitServe, which reads and answers the same V2 JSON. Arguments: model, port, configuration as JSON.
import json
import sys

import litserve
import numpy as np
import onnxruntime
from fastapi import Response

model, port, configuration = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
DTYPES = {"BYTES": np.object_, "FP32": np.float32}


class OnnxApi(litserve.LitAPI):
    def setup(self, device):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def decode_request(self, request):
        return {
            given["name"]: np.array(given["data"], DTYPES[given["datatype"]]).reshape(given["shape"])
            for given in request["inputs"]
        }

    def batch(self, inputs):
        return {name: np.concatenate([feeds[name] for feeds in inputs]) for name in inputs[0]}

    def predict(self, feeds):
        return self.session.run(None, feeds)

    def unbatch(self, outputs):
        label, probability = outputs
        return [(label[row : row + 1], probability[row : row + 1]) for row in range(len(label))]

    def encode_response(self, outputs) -> Response:
        label, probability = outputs
        answer = {
            "model_name": "flight-delay",
            "model_version": "1.0.0",
            "outputs": [
                {"name": "label", "datatype": "INT64", "shape": label.shape, "data": label.tolist()},
                {
                    "name": "probability",
                    "datatype": "FP32",
                    "shape": probability.shape,
                    "data": probability.ravel().tolist(),
                },
            ],
        }
        # What is a response already passes FastAPI untouched; a dictionary would be walked through and copied there.
        return Response(json.dumps(answer), media_type="application/json")


if __name__ == "__main__":
    api = OnnxApi(
        api_path="/v2/models/flight-delay/infer",
        max_batch_size=configuration["batch"],
        batch_timeout=configuration["waitMs"] / 1000,
    )
    server = litserve.LitServer(
        api, accelerator="cpu", workers_per_device=configuration["workers"], fast_queue=configuration["fastQueue"]
    )
    server.run(host="127.0.0.1", port=port, log_level="error", access_log=False, generate_client_file=False)
