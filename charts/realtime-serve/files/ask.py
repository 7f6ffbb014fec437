"""Send one completion request to a model; the arguments are its URL and the seconds that it may take."""

# ruff: noqa: INP001, S310, T201  # a script for a pod: no package, an URL that the chart writes, and output for people

import json
import sys
import urllib.request


def fetch(url: str, body: bytes | None, timeout: float) -> dict:
    """The JSON answer of a GET, or of a POST when there is a body."""
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return json.load(answer)


base, timeout = sys.argv[1], float(sys.argv[2])
try:
    name = fetch(f"{base}/v1/models", None, timeout)["data"][0]["id"]
    question = {"model": name, "prompt": "The capital of France is", "max_tokens": 8, "temperature": 0}
    answer = fetch(f"{base}/v1/completions", json.dumps(question).encode(), timeout)
except OSError as error:
    sys.exit(f"no answer from {base}: {error}. Is the model Ready? Set test.model.name and .namespace.")
print(f"{name} answers: {answer['choices'][0]['text']!r} ({answer['usage']['completion_tokens']} tokens)")
