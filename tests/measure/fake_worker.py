"""A benchmark worker with invented clocks: ``fake_worker.py MILLISECONDS [FAULT]``.

A text costs its length times MILLISECONDS, give or take half a percent; nothing is slept. Under
load (``serve``) that is exact, and texts queue up behind each other.
"""

import json
import os
import random
import sys
import time


def main() -> None:
    scale = float(sys.argv[1]) * 1e6
    fault = sys.argv[2] if len(sys.argv) > 2 else ""
    noise = random.Random(os.getpid())  # noqa: S311

    def cost(text: str) -> int:
        return int(len(text) * scale * noise.gauss(1, 0.005))

    for line in sys.stdin:
        command = json.loads(line)
        if fault == "dies" and command["do"] == "block":
            sys.stderr.write("the roof is on fire\n")
            sys.stderr.flush()
            os._exit(9)
        if fault == "hangs" and command["do"] == "block":
            time.sleep(3600)
        answer = answered(command, cost, fault)
        print(answer if isinstance(answer, str) else json.dumps(answer), flush=True)
        if command["do"] == "stop":
            return


def answered(command, cost, fault):
    answers = {"load": loaded, "block": block, "many": many, "serve": serve}
    if command["do"] in answers:
        return answers[command["do"]](command, cost, fault)
    return {"peak_rss_bytes": 5_000_000}


def loaded(command, cost, fault):
    faults = {
        "error": {"error": "model.onnx is truncated", "exit_code": 3},
        "babble": "Loading weights: 100%",
        "list": [1],
        "forgets": {"rss_bytes": 1},
    }
    return faults.get(fault, {"load_s": 0.25, "rss_bytes": 1_000_000})


def block(command, cost, fault):
    if fault == "short":
        return {"cpu_ns": [1], "wall_ns": [1]}
    cpu = [cost(text) for text in command["texts"][command["drop"] :]]
    if fault == "ticks":
        cpu = [10_000_000] * len(cpu)
    if fault == "stumbles":  # on texts of odd length
        texts = command["texts"][command["drop"] :]
        cpu = [ns * (3 if len(text) % 2 else 1) for ns, text in zip(cpu, texts, strict=True)]
    factor = 2 if fault == "waits" else 1
    return {"cpu_ns": cpu, "wall_ns": [factor * ns for ns in cpu]}


def many(command, cost, fault):
    total = sum(cost(text) for text in command["texts"])
    return {"cpu_ns": total, "wall_ns": total * 2}


def serve(command, cost, fault):
    free, latencies, late = 0, [], 0
    scale = float(sys.argv[1]) * 1e6
    for text, arrival in zip(command["texts"], command["arrivals_ns"], strict=True):
        free = max(free, arrival) + len(text) * scale
        latencies.append(int(free - arrival))
        late += latencies[-1] > command["bound_ns"]
        if late > command["late"]:
            break
    return {"latencies_ns": latencies}


main()
