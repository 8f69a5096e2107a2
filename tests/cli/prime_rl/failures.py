"""What a package says when its program is in trouble. Prints one JSON object.

Usage: failures.py PACKAGE_FOLDER MODULE. The environment answers "die", "hang" and "doze" in its own way.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
from typing import Any

TASK = {"example_id": 0, "prompt": [{"role": "user", "content": "hello"}], "answer": "", "info": {}}


def says(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


async def failure(awaitable: Any) -> list[str]:
    try:
        await awaitable
    except Exception as error:  # noqa: BLE001 - its kind is what is asked for
        return [type(error).__name__, str(error)]
    return []


async def whole_rollout(module: Any, runner: Any) -> Any:
    session = module.Session(runner)
    await session.start(TASK, "train")
    turn = await session.step(says("fine"))
    await session.end()
    return turn.result["reward"]


async def crash(module: Any) -> dict[str, Any]:
    runner = module.Runner()
    dying, other = module.Session(runner), module.Session(runner)
    await dying.start(TASK, "train")
    await other.start(TASK, "train")
    waiting = asyncio.create_task(failure(other.step(says("doze"))))
    seen = {"dying": await failure(dying.step(says("die"))), "other": await waiting}
    seen["lost"] = await failure(other.step(says("fine")))
    await other.end()
    seen["after"] = await whole_rollout(module, runner)
    runner.close()
    return seen


async def killed(module: Any) -> dict[str, Any]:
    runner = module.Runner()
    session = module.Session(runner)
    await session.start(TASK, "train")
    waiting = asyncio.create_task(failure(session.step(says("doze"))))
    await asyncio.sleep(0.2)
    runner.process().kill()
    seen = {"killed": await waiting, "after": await whole_rollout(module, runner)}
    runner.close()
    return seen


async def stuck(module: Any) -> dict[str, Any]:
    module.CLOSE_SECONDS = 1.0
    runner = module.Runner(timeout_seconds=3)
    await whole_rollout(module, runner)
    life = runner.process()
    slow = module.Session(runner)
    await slow.start(TASK, "train")
    seen: dict[str, Any] = {"doze": await failure(slow.step(says("doze")))}
    seen["still_alive"] = runner.process() is life and await whole_rollout(module, runner)
    await slow.end()
    hanging = module.Session(runner)
    await hanging.start(TASK, "train")
    seen["hang"] = await failure(hanging.step(says("hang")))
    seen["after"] = await whole_rollout(module, runner)
    seen["same_process"] = runner.process() is life
    runner.close()
    return seen


async def nonsense(module: Any) -> dict[str, Any]:
    runner = module.Runner()
    session = module.Session(runner)
    seen = {"early": await failure(session.step(says("x")))}
    no_prompt = {key: value for key, value in TASK.items() if key != "prompt"}
    seen["no_prompt"] = await failure(module.Session(runner).start(no_prompt, "train"))
    seen["split"] = await failure(module.Session(runner).start(TASK, "test"))
    await session.start(TASK, "train")
    seen["no_message"] = await failure(session.step(None))
    seen["unscored"] = await failure(session.score())
    seen["unknown"] = await failure(runner.request("dance", session=session.name))
    seen["after_all"] = (await session.step(says("fine"))).result["reward"]
    runner.close()
    return seen


async def stopped(module: Any) -> dict[str, Any]:
    runner = module.Runner()
    long, cut = module.Session(runner), module.Session(runner)
    await long.start(TASK, "train")
    turn = await long.step(says("more"))
    seen = {"asked": turn.messages, "stop": vars(await long.stop("context_length"))}
    await cut.start(TASK, "train")
    busy = asyncio.create_task(cut.step(says("nap")))
    await asyncio.sleep(0.1)
    seen["while_busy"] = vars(await cut.stop("timeout_reached"))
    busy.cancel()
    runner.close()
    return seen


def node_of(module: Any, node: str) -> list[str]:
    try:
        module.Runner(node=node).check_node()
    except module.NodeMissingError as error:
        return [type(error).__name__, str(error)]
    return []


def bad_tasks(module: Any, tasks: Any) -> dict[str, str]:
    good = {"example_id": 0, "prompt": [{"role": "user", "content": "x"}], "answer": "", "info": {}}
    cases = {
        "not JSON": "{",
        "no id": json.dumps({**good, "example_id": None}),
        "no prompt": json.dumps({**good, "prompt": []}),
        "answer": json.dumps({**good, "answer": 3}),
        "info": json.dumps({**good, "info": "text"}),
        "twice": json.dumps(good) + "\n" + json.dumps(good),
        "none": "\n",
    }
    path = tasks.DATA / "eval.jsonl"
    kept = path.read_text(encoding="utf-8")
    seen = {}
    for name, text in cases.items():
        path.write_text(text + "\n", encoding="utf-8")
        try:
            tasks.load_tasks("eval")
        except tasks.TasksError as error:
            seen[name] = str(error)
    path.write_text(kept, encoding="utf-8")
    return seen


async def main(folder: str, name: str) -> None:
    sys.path.insert(0, folder)
    module = importlib.import_module(f"{name}.runner")
    tasks = importlib.import_module(f"{name}.tasks")
    seen: dict[str, Any] = {}
    for scenario in (crash, killed, stuck, nonsense, stopped):
        seen[scenario.__name__] = await scenario(module)
    seen["no_node"] = node_of(module, "/no/such/node")
    seen["old_node"] = node_of(module, os.environ["OLD_NODE"])
    seen["no_program"] = node_of(module, os.environ["NO_PROGRAM"])
    seen["bad_tasks"] = bad_tasks(module, tasks)
    seen["needs_only_python"] = sorted(
        each for each in sys.modules if each.split(".")[0] in ("verifiers", "datasets", "httpx")
    )
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
