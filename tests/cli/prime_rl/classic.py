"""The package's load_environment with a stand-in for verifiers. Prints one JSON object.

Usage: classic.py DOUBLE PACKAGE_FOLDER MODULE < rollouts.json > results.json
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from typing import Any

sys.path[:0] = [sys.argv[1], sys.argv[2]]

from verifiers import OverlongPromptError  # noqa: E402
from verifiers.types import AssistantMessage  # noqa: E402


def reply_of(wire: dict[str, Any], reasoning: str | None = None) -> AssistantMessage:
    calls = [{"id": call["id"], **call["function"]} for call in wire.get("tool_calls", [])]
    return AssistantMessage(
        role="assistant",
        content=wire["content"],
        reasoning_content=reasoning,
        tool_calls=calls or None,
    )


def scripted(replies: list[dict[str, Any]], offered: list[Any]) -> Any:
    rest = iter(replies)

    async def model(messages: list[Any], tools: list[Any]) -> AssistantMessage:
        offered.append(sorted(tool.name for tool in tools))
        reply = next(rest, None)
        if reply is None:
            raise OverlongPromptError("the script is over")
        return reply_of(reply)

    return model


def report(messages: Any, state: Any) -> dict[str, Any]:
    return {
        "reward": state["reward"],
        "metrics": state["metrics"],
        "completion": [messages.to_wire(message) for message in state["completion"]],
        "stop_condition": state["stop_condition"],
        "is_truncated": state["is_truncated"],
        "error": state["error"] and str(state["error"]),
    }


async def main(name: str) -> None:
    package = importlib.import_module(name)
    messages = importlib.import_module(f"{name}.messages")
    request = json.load(sys.stdin)
    seen: dict[str, Any] = {}
    for label, arguments in request["bad_arguments"].items():
        try:
            package.load_environment(**arguments)
        except Exception as error:  # noqa: BLE001 - its kind is what is asked for
            seen[label] = [type(error).__name__, str(error)]
    env = package.load_environment(**request["arguments"])
    seen["rows"] = {"train": list(env.dataset), "eval": list(env.eval_dataset)}
    seen["tools"] = sorted(tool.name for tool in env.tool_defs or [])
    seen["sampling"] = env.sampling_args
    seen["weights"] = dict(zip((each.__name__ for each in env.rubric.funcs), env.rubric.weights))
    offered: list[Any] = []
    tables = {"train": env.dataset, "eval": env.eval_dataset}

    async def play(rollout: dict[str, Any]) -> dict[str, Any]:
        row = tables[rollout["split"]][rollout["index"]]
        limit = rollout.get("max_turns", -1)
        return report(messages, await env.rollout(row, scripted(rollout["replies"], offered), limit))

    seen["rollouts"] = await asyncio.gather(*(play(rollout) for rollout in request["rollouts"]))
    seen["offered"] = [list(each) for each in sorted({tuple(each) for each in offered})]
    reasoned = messages.to_wire(reply_of({"content": "4"}, "2 and 2"))
    seen["reasoned"] = reasoned
    await env.close()
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[3]))
