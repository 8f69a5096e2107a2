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
import json
import os
import re
import shutil
import subprocess
import threading
from collections import Counter, deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

RUNNER = Path(__file__).resolve().parent / "node" / "runner.mjs"
NODE_MAJOR = 20
"""The oldest Node that the runner works with."""
STDERR_LINES = 40
"""Lines of the runner's standard error that an exception shows."""
CLOSE_SECONDS = 5.0

JsonObject = dict[str, Any]


class RunnerError(Exception):
    """Something is wrong with the environment's program; never a reward of 0."""


class NodeMissingError(RunnerError):
    """There is no Node, or one that is too old."""


class RunnerCrashedError(RunnerError):
    """The program died while something was asked of it."""


class RunnerTimeoutError(RunnerError):
    """The program did not answer in time."""


class RequestError(RunnerError):
    """The program's own words on why a request cannot be answered."""


def find_node(node: str | None = None) -> str:
    """The path of a Node that the runner works with.

    ``node`` names one; else the environment variable ``TERRARIUM_NODE`` does; else
    the first one on the PATH is taken.
    """
    wanted = node or os.environ.get("TERRARIUM_NODE") or "node"
    path = shutil.which(wanted)
    need = f"this environment's rewards run in Node.js {NODE_MAJOR} or newer"
    if path is None:
        raise NodeMissingError(
            f"{need}, and there is no {wanted!r} on the PATH: install Node.js, or name "
            "it in TERRARIUM_NODE"
        )
    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NodeMissingError(f"{need}, and {path} cannot be run: {error}") from error
    version = re.match(r"v(\d+)\.", done.stdout)
    if version is None or int(version.group(1)) < NODE_MAJOR:
        said = (done.stdout or done.stderr).strip()[:100] or "nothing"
        raise NodeMissingError(f"{need}, and {path} --version says {said!r}")
    return path


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


class _Process:
    """One life of the program, with the requests that it has not answered."""

    def __init__(self, node: str, script: Path) -> None:
        self.pid_of_owner = os.getpid()
        self.pending: dict[int, Future[Any]] = {}
        self.last_lines: deque[str] = deque(maxlen=STDERR_LINES)
        self.dead = False
        self.killed = False
        self._lock = threading.Lock()
        self.child = subprocess.Popen(
            [node, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            bufsize=1,
        )
        assert self.child.stdout is not None and self.child.stderr is not None
        self._stderr = self._thread(self._read_stderr, self.child.stderr)
        self._thread(self._read_answers, self.child.stdout)

    @staticmethod
    def _thread(target: Any, stream: IO[str]) -> threading.Thread:
        thread = threading.Thread(target=target, args=(stream,), daemon=True)
        thread.start()
        return thread

    def send(self, number: int, request: JsonObject) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()  # whoever waits may leave, the answer comes all the same
        line = json.dumps({"id": number, **request}) + "\n"
        with self._lock:
            if self.dead:
                future.set_exception(self._crash())
                return future
            self.pending[number] = future
            assert self.child.stdin is not None
            try:
                self.child.stdin.write(line)
                self.child.stdin.flush()
            except (OSError, ValueError):
                pass  # it has died: whoever reads its answers finds out and says so
        return future

    def forget(self, number: int) -> None:
        with self._lock:
            self.pending.pop(number, None)

    @property
    def is_usable(self) -> bool:
        """Whether it can be asked something more."""
        ours = self.pid_of_owner == os.getpid()
        return ours and not self.dead and not self.killed and self.child.poll() is None

    def kill(self) -> None:
        self.killed = True
        self.child.kill()

    def close(self) -> None:
        """Lets the program end by itself, or else kills it."""
        if self.pid_of_owner != os.getpid():
            return  # a fork's copy: the process is its parent's
        try:
            if self.child.stdin is not None:
                self.child.stdin.close()
            self.child.wait(CLOSE_SECONDS)
        except (OSError, subprocess.TimeoutExpired):
            self.child.kill()
            self.child.wait()

    def _read_stderr(self, stream: IO[str]) -> None:
        for line in stream:
            self.last_lines.append(line.rstrip("\n"))

    def _read_answers(self, stream: IO[str]) -> None:
        for line in stream:
            try:
                answer = json.loads(line)
                number = answer["id"]
            except (ValueError, TypeError, KeyError):
                self.last_lines.append(line.rstrip("\n"))  # printed by somebody
                continue
            with self._lock:
                future = self.pending.pop(number, None)
            if future is None:
                continue
            if "ok" in answer:
                future.set_result(answer["ok"])
            else:
                said = answer.get("error") or {}
                text = f"{said.get('name', 'Error')}: {said.get('message', 'unknown')}"
                future.set_exception(RequestError(text))
        self.child.wait()
        self._stderr.join(CLOSE_SECONDS)
        with self._lock:
            self.dead = True
            lost = list(self.pending.values())
            self.pending.clear()
        for future in lost:
            future.set_exception(self._crash())

    def _crash(self) -> RunnerCrashedError:
        code = self.child.poll()
        how = f"was killed by signal {-code}" if code and code < 0 else f"ended with code {code}"
        tail = "\n".join(self.last_lines).strip() or "(nothing)"
        return RunnerCrashedError(
            f"the environment's program {how}; its last words on standard error:\n{tail}"
        )


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
        self._process: _Process | None = None
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

    def process(self) -> _Process:
        """The program as it runs now; started where it does not."""
        with self._lock:
            if self._process is None or not self._process.is_usable:
                self._process = _Process(self.check_node(), self.script)
            return self._process

    async def request(
        self, op: str, *, process: _Process | None = None, **fields: Any
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

    async def _ask(self, target: _Process, request: JsonObject, seconds: float) -> Any:
        number = next(self._numbers)
        future = target.send(number, request)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), seconds)
        finally:
            target.forget(number)

    async def _kill_if_stuck(self, target: _Process) -> None:
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
        self._process: _Process | None = None

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
