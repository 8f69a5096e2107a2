"""The package's taskset and harness with a stand-in for verifiers' v1. Prints one JSON object.

Usage: v1.py DOUBLE PACKAGE_FOLDER MODULE < rollouts.json > results.json

The model is an endpoint on this machine that says a rollout's replies one after the other, then refuses.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

sys.path[:0] = [sys.argv[1], sys.argv[2]]

import verifiers.v1 as vf  # noqa: E402


class Endpoint(BaseHTTPRequestHandler):
    """Each rollout has a secret of its own, by which its replies are found."""

    rollouts: dict[str, tuple[list[Any], vf.Trace]] = {}
    requests: list[Any] = []

    def do_POST(self) -> None:  # noqa: N802 - the base class's name
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        replies, trace = self.rollouts[self.headers["Authorization"].removeprefix("Bearer ")]
        said = sum(message["role"] == "assistant" for message in body["messages"])
        self.requests.append({"path": self.path, "model": body["model"], "tools": body.get("tools", [])})
        if said < len(replies):
            message = {**replies[said], "refusal": None}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return self._answer(200, {"choices": [choice], "usage": None})
        trace.stop_condition = "context_length"
        return self._answer(400, {"error": "rollout stopped: context_length"})

    def _answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        return None


async def main(name: str) -> None:
    package = importlib.import_module(name)
    classes = {each: getattr(package, each) for each in package.__all__}
    request = json.load(sys.stdin)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}/v1"
    taskset_module = importlib.import_module(f"{name}.taskset")
    harness = classes["TerrariumHarness"](taskset_module.TerrariumHarnessConfig(id=name))
    await harness.setup(vf.Runtime())
    tasks = {}
    for split in ("train", "eval"):
        config = taskset_module.TerrariumConfig(id=name, split=split)
        tasks[split] = classes["TerrariumTaskset"](config).load()

    async def play(number: int, rollout: dict[str, Any]) -> dict[str, Any]:
        task = tasks[rollout["split"]][rollout["index"]]
        trace = vf.Trace()
        Endpoint.rollouts[str(number)] = (rollout["replies"], trace)
        context = vf.ModelContext(model="some/model")
        try:
            done = await harness.launch(context, trace, vf.Runtime(), endpoint, str(number), {}, task.data)
        except RuntimeError as error:
            return {"error": str(error)}
        return {
            "exit_code": done.exit_code,
            "reward": await task.terrarium_reward(trace),
            "metrics": await task.terrarium_metrics(trace),
            "stop_condition": trace.info["terrarium"]["stop_condition"],
        }

    rollouts = [play(number, rollout) for number, rollout in enumerate(request["rollouts"])]
    seen: dict[str, Any] = {"rollouts": await asyncio.gather(*rollouts)}
    seen["keys"] = [task.key for task in tasks["train"]]
    seen["prompts"] = [task.data.prompt for task in tasks["train"]]
    seen["plugins"] = sorted(
        each for each, value in classes.items() if isinstance(value, type) and issubclass(value, (vf.Harness, vf.Taskset))
    )
    seen["requests"] = Endpoint.requests
    server.shutdown()
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[3]))
