"""The environment's own program, in a Node subprocess.

The rollouts of the environment, its tools, its answers and its rewards are those of
the program ``node/runner.mjs`` beside this file. One process serves any number of
rollouts at once: requests and answers are JSON lines, matched by id. It is started
by the first request, and again by the next one after it has died.

Only the standard library is needed here.
"""

from __future__ import annotations

import asyncio
import atexit
import itertools
import os
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .process import (
    CLOSE_SECONDS,
    JsonObject,
    NodeMissingError,
    Process,
    RequestError,
    RunnerCrashedError,
    RunnerError,
    RunnerTimeoutError,
    find_node,
)

__all__ = [
    "NodeMissingError",
    "RequestError",
    "Runner",
    "RunnerCrashedError",
    "RunnerError",
    "RunnerTimeoutError",
    "Session",
    "Turn",
]

RUNNER = Path(__file__).resolve().parent / "node" / "runner.mjs"


@dataclass
class Turn:
    """What is to be said to the model next, or the rollout's end."""

    done: bool
    messages: list[JsonObject]
    """New messages, in OpenAI's form: the prompt, or what follows the last reply."""
    tools: list[JsonObject] = field(default_factory=list)
    """``{"name", "description", "parameters"}`` of each tool that is offered."""
    result: JsonObject | None = None
    """When done: reward, metrics, stop_condition, is_truncated, error, num_turns."""


class Runner:
    """The program and what is asked of it. Safe to use from several threads and loops."""

    def __init__(
        self,
        script: Path = RUNNER,
        *,
        node: str | None = None,
        timeout_seconds: float = 600.0,
        seed: int = 0,
    ) -> None:
        """``seed`` decides the environment's own dice, with task and rollout."""
        self.script = script
        self.timeout_seconds = timeout_seconds
        self.seed = seed
        self._node = node
        self._node_path: str | None = None
        self._process: Process | None = None
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._started: Counter[tuple[str, int]] = Counter()
        atexit.register(self.close)

    def check_node(self) -> str:
        """The path of the Node that is used; raises NodeMissingError."""
        if self._node_path is None:
            self._node_path = find_node(self._node)
        return self._node_path

    def close(self) -> None:
        """Ends the program. The next request starts it again."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.close()

    def count_rollout(self, split: str, example_id: int) -> int:
        """How many rollouts of this task were counted before."""
        with self._lock:
            number = self._started[split, example_id]
            self._started[split, example_id] += 1
        return number

    def process(self) -> Process:
        """The program as it runs now; started where it does not."""
        with self._lock:
            if self._process is None or not self._process.is_usable:
                self._process = Process(self.check_node(), self.script)
            return self._process

    async def request(
        self, op: str, *, process: Process | None = None, **fields: Any
    ) -> Any:
        """Asks one thing of the program, or of one life of it, and awaits the answer."""
        target = process or self.process()
        try:
            return await self._ask(target, {"op": op, **fields}, self.timeout_seconds)
        except asyncio.TimeoutError as error:
            await self._kill_if_stuck(target)
            raise RunnerTimeoutError(
                f"the environment's program did not answer {op!r} within "
                f"{self.timeout_seconds:g} s"
            ) from error

    async def _ask(self, target: Process, request: JsonObject, seconds: float) -> Any:
        number = next(self._numbers)
        future = target.send(number, request)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), seconds)
        finally:
            target.forget(number)

    async def _kill_if_stuck(self, target: Process) -> None:
        """A program that does not even say hello answers nobody any more."""
        try:
            await self._ask(target, {"op": "hello"}, CLOSE_SECONDS)
        except asyncio.TimeoutError:
            target.kill()
        except RunnerError:
            pass  # it is dead already


class Session:
    """One rollout: ``start``, a ``step`` for each reply of the model, ``end``."""

    _numbers = itertools.count(1)

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.name = f"{os.getpid()}-{next(self._numbers)}"
        self.result: JsonObject | None = None
        """What the rollout was worth, once it is done."""
        self._process: Process | None = None

    async def start(
        self,
        task: JsonObject,
        split: str,
        *,
        draw: int = 0,
        rollout: int | None = None,
        seed: int | None = None,
    ) -> Turn:
        """Begins a rollout of a task (``example_id``, ``prompt``, ...)."""
        self._process = self.runner.process()
        if rollout is None:
            rollout = self.runner.count_rollout(split, task["example_id"])
        return await self._turn(
            "start",
            task=task,
            split=split,
            draw=draw,
            rollout=rollout,
            seed=self.runner.seed if seed is None else seed,
        )

    async def step(
        self,
        message: JsonObject,
        *,
        finish_reason: str | None = None,
        usage: JsonObject | None = None,
    ) -> Turn:
        """The model's reply, in OpenAI's form, and what follows it."""
        return await self._turn(
            "step", message=message, finish_reason=finish_reason, usage=usage
        )

    async def stop(self, condition: str) -> Turn:
        """No reply will come: the rollout ends and is scored as it is."""
        return await self._turn("stop", condition=condition)

    async def score(self) -> JsonObject:
        """The result of a rollout that is done."""
        return await self._request("score")

    async def end(self) -> None:
        """Forgets the rollout, and cancels what is still played of it."""
        if self._process is None or self._process.dead:
            return
        await self._request("end")
        self._process = None

    async def _turn(self, op: str, **fields: Any) -> Turn:
        answer = await self._request(op, **fields)
        turn = Turn(
            done=answer["done"],
            messages=answer["messages"],
            tools=list(answer.get("tools") or []),
            result=answer.get("result"),
        )
        if turn.done:
            self.result = turn.result
        return turn

    async def _request(self, op: str, **fields: Any) -> Any:
        if self._process is None:
            raise RequestError(f"{op}: the rollout has not started, or is ended")
        return await self.runner.request(
            op, process=self._process, session=self.name, **fields
        )
