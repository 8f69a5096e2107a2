"""One life of the environment's own program: a Node process that answers JSON lines.

Only the standard library is needed here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from collections import deque
from concurrent.futures import Future
from pathlib import Path
from typing import IO, Any

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


class Process:
    """The program, and the requests that it has not answered yet."""

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
        future.set_running_or_notify_cancel()  # who waits may leave; the answer still comes
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
