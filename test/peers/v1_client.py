"""Asks for predictions as KServe's V1 and TensorFlow Serving's clients do and prints the answers as JSON.

python v1_client.py URL PLAN

PLAN is JSON: {name: {"path": …, "body": … or nothing for a GET}}. Prints {name: {"status", "type", "body"}}; judges nothing.
"""

import json
import sys

import requests


def main() -> None:
    url, text = sys.argv[1:]
    answers = {}
    with requests.Session() as session:
        for name, asked in json.loads(text).items():
            call = session.post if "body" in asked else session.get
            more = {"json": asked["body"]} if "body" in asked else {}
            answer = call(url + asked["path"], timeout=30, **more)
            answers[name] = {
                "status": answer.status_code,
                "type": answer.headers.get("content-type"),
                "body": answer.json(),
            }
    print(json.dumps(answers))


main()
