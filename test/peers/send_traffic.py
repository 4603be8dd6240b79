"""Sends held-out rows of tumour-risk with tritonclient, one a request, eight at a time, for as long as it is told.

python send_traffic.py [HOST:PORT [SECONDS]], 127.0.0.1:8080 and 60 by default. Prints what came back.
"""

import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import tritonclient.http as http

TRAFFIC = Path(__file__).resolve().parents[2] / "models/tumour-risk/traffic.csv"
ROWS = np.loadtxt(TRAFFIC, delimiter=",", skiprows=1, dtype=np.float32)[:, :30]


def send(address: str, first: int, end: float, counts: Counter) -> None:
    client = http.InferenceServerClient(address)
    # MLServer takes and gives JSON alone.
    outputs = [http.InferRequestedOutput(name, binary_data=False) for name in ("predict", "predict_proba")]
    row = first
    while time.monotonic() < end:
        features = http.InferInput("features", [1, 30], "FP32")
        features.set_data_from_numpy(ROWS[row % len(ROWS)][None, :], binary_data=False)
        row += 8
        try:
            client.infer("tumour-risk", [features], outputs=outputs)
            counts["answered"] += 1
        except Exception as error:
            counts[str(error)] += 1


def main() -> None:
    given = sys.argv[1:]
    address, seconds = [*given, *["127.0.0.1:8080", "60"][len(given) :]]
    end = time.monotonic() + float(seconds)
    counts: list[Counter] = [Counter() for _ in range(8)]
    threads = [threading.Thread(target=send, args=(address, n, end, counts[n])) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for what, count in sum(counts, Counter()).items():
        print(f"{count} {what}")


main()
