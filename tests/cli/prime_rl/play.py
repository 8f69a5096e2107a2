"""Plays scripted rollouts through the runner of an exported package.

Usage: play.py PACKAGE_FOLDER MODULE < rollouts.json > results.json

A rollout is ``{"task", "split", "draw", "rollout", "seed", "replies"}``; its result is what the
runner answered to each reply, and what the rollout was worth. Many are in flight at once.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from typing import Any

IN_FLIGHT = 24


async def play(runner_module: Any, messages: Any, runner: Any, rollout: dict[str, Any]) -> dict[str, Any]:
    session = runner_module.Session(runner)
    identity = {key: rollout[key] for key in ("draw", "rollout", "seed")}
    turn = await session.start(rollout["task"], rollout["split"], **identity)
    heard = [turn.messages]
    replies = iter(rollout["replies"])
    while not turn.done:
        turn = await session.step(messages.to_wire(next(replies)))
        heard.append(turn.messages)
    score = await session.score()
    await session.end()
    return {"heard": heard, "unsaid": len(list(replies)), "result": turn.result, "score": score}


async def main(folder: str, module: str) -> None:
    sys.path.insert(0, folder)
    runner_module = importlib.import_module(f"{module}.runner")
    messages = importlib.import_module(f"{module}.messages")
    rollouts = json.load(sys.stdin)
    runner = runner_module.Runner(timeout_seconds=120)
    slots = asyncio.Semaphore(IN_FLIGHT)

    async def one(rollout: dict[str, Any]) -> dict[str, Any]:
        async with slots:
            return await play(runner_module, messages, runner, rollout)

    results = await asyncio.gather(*(one(rollout) for rollout in rollouts))
    runner.close()
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
