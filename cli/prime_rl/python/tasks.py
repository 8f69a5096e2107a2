"""The tasks of the package: one JSON object per line, each as the environment plays it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parent / "data"
SPLITS = ("train", "eval")

JsonObject = dict[str, Any]


class TasksError(Exception):
    """A file of tasks that cannot be used, named with the line."""


@cache
def manifest() -> JsonObject:
    """What the package is: names, tools, metrics, sampling."""
    return json.loads((DATA / "manifest.json").read_text(encoding="utf-8"))


def load_tasks(split: str, count: int = -1) -> list[JsonObject]:
    """The first ``count`` tasks of a split, or all of them (-1).

    Each has ``example_id``, ``prompt`` (messages in OpenAI's form), ``answer``, ``info``
    and whatever else the environment's rewards look at.
    """
    if split not in SPLITS:
        raise TasksError(f"there is no split {split!r}; there are train and eval")
    if count < -1:
        raise TasksError(f"{count} tasks of {split}: a whole number, or -1 for all")
    path = DATA / f"{split}.jsonl"
    tasks: list[JsonObject] = []
    seen: set[int] = set()
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if count >= 0 and len(tasks) >= count:
                break
            if not line.strip():
                continue
            where = f"{path.name}, line {number}"
            try:
                task = json.loads(line)
            except ValueError as error:
                raise TasksError(f"{where}: {error}") from error
            _check(task, where)
            if task["example_id"] in seen:
                raise TasksError(f"{where}: example_id {task['example_id']} was there before")
            seen.add(task["example_id"])
            tasks.append(task)
    if not tasks:
        raise TasksError(f"{path.name} holds no tasks")
    return tasks


def _check(task: Any, where: str) -> None:
    if not isinstance(task, dict):
        raise TasksError(f"{where}: not an object")
    if type(task.get("example_id")) is not int or task["example_id"] < 0:
        raise TasksError(f"{where}: no example_id")
    prompt = task.get("prompt")
    if not isinstance(prompt, list) or not prompt:
        raise TasksError(f"{where}: no prompt")
    if not isinstance(task.get("answer", ""), str):
        raise TasksError(f"{where}: the answer is not text")
    if not isinstance(task.get("info", {}), dict):
        raise TasksError(f"{where}: the info is not an object")
