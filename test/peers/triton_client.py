"""Asks everything that tritonclient can ask over HTTP and prints {name: answer or error} as JSON.

python triton_client.py HOST:PORT PLAN

PLAN is JSON: {"models": {name: {"inputs": [{name, datatype, shape, data}], "outputs": [name]}}, "asked": name}. Every model is
asked in every form; the model `asked` also for what servers tell of a model, and wrongly. Arrays come back as
{"dtype", "shape", "data"}. Judges nothing.
"""

import json
import sys

import numpy as np
import tritonclient.http as http
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

answers: dict[str, object] = {}


def ask(name: str, question) -> None:
    try:
        answers[name] = {"ok": question()}
    except InferenceServerException as error:
        answers[name] = {"error": error.message(), "status": error.status()}


def tensor(spec: dict, binary: bool):
    kind = triton_to_np_dtype(spec["datatype"])
    # 64-bit integers come and go as text, which JSON's readers do not round.
    cast = {"BYTES": str.encode, "INT64": int, "UINT64": int}.get(spec["datatype"], lambda value: value)
    values = [cast(value) for value in spec["data"]]
    array = np.array(values, dtype=kind).reshape(spec["shape"])
    made = http.InferInput(spec["name"], spec["shape"], spec["datatype"])
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def read(result, names) -> dict:
    return {"id": result.get_response().get("id"), **{name: plain(result.as_numpy(name)) for name in names}}


def plain(array) -> object:
    if array is None:
        return None
    cast = str if array.dtype.itemsize == 8 and array.dtype.kind in "iu" else lambda value: value
    flat = [value.decode() if isinstance(value, bytes) else cast(value) for value in array.ravel().tolist()]
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": flat}


def infer(client, model: str, plan: dict, binary: bool, **more):
    inputs = [tensor(spec, binary) for spec in plan["inputs"]]
    outputs = [http.InferRequestedOutput(name, binary_data=binary) for name in plan["outputs"]]
    return read(client.infer(model, inputs, outputs=outputs, **more), plan["outputs"])


def by_async(client, model: str, plan: dict):
    asked = [client.async_infer(model, [tensor(s, True) for s in plan["inputs"]]) for _ in range(4)]
    return [read(each.get_result(), plan["outputs"]) for each in asked]


def main() -> None:
    address, text = sys.argv[1:]
    plan = json.loads(text)
    client = http.InferenceServerClient(address, concurrency=4)
    asked = plan["asked"]
    one = plan["models"][asked]

    ask("live", client.is_server_live)
    ask("ready", client.is_server_ready)
    ask("model ready", lambda: client.is_model_ready(asked))
    ask("unknown ready", lambda: client.is_model_ready("nobody"))
    ask("server", client.get_server_metadata)
    ask("metadata", lambda: client.get_model_metadata(asked))
    ask("config", lambda: client.get_model_config(asked))
    ask("index", client.get_model_repository_index)
    ask("unknown metadata", lambda: client.get_model_metadata("nobody"))

    for model, each in plan["models"].items():
        if not each.get("binaryOnly"):
            ask(f"{model} json", lambda: infer(client, model, each, False))
        ask(f"{model} binary", lambda: infer(client, model, each, True, request_id="of the client"))
        for coding in ("gzip", "deflate"):
            codings = {"request_compression_algorithm": coding, "response_compression_algorithm": coding}
            ask(f"{model} {coding}", lambda: infer(client, model, each, True, **codings))
        ask(f"{model} all outputs", lambda: read(
            client.infer(model, [tensor(spec, True) for spec in each["inputs"]]), each["outputs"]))
    ask("async", lambda: by_async(client, asked, one))
    ask("query and headers", lambda: infer(
        client, asked, one, True, headers={"x-user-id": "7"}, query_params={"trace": "on"}, timeout=5_000_000, priority=1))

    spec = one["inputs"][0]
    wrong = {
        "wrong width": {**spec, "shape": [1, 2], "data": [0.0, 1.0]},
        "wrong rank": {**spec, "shape": [len(spec["data"])]},
        "wrong datatype": {**spec, "datatype": "FP64"},
        "wrong name": {**spec, "name": "nothing"},
    }
    for name, bad in wrong.items():
        ask(name, lambda: infer(client, asked, {**one, "inputs": [bad, *one["inputs"][1:]]}, True))
    ask("unknown model", lambda: infer(client, "nobody", one, True))
    ask("unknown output", lambda: infer(client, asked, {**one, "outputs": ["nothing"]}, True))
    ask("unknown version", lambda: infer(client, asked, one, True, model_version="9.9.9"))
    # Counters are told a moment after the answers they count.
    ask("statistics", lambda: client.get_inference_statistics(asked))
    print(json.dumps(answers))


main()
