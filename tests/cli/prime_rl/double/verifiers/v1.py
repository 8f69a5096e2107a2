"""A stand-in for verifiers' v1 interface: only as much as the exported package touches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")
C = TypeVar("C")


class _Fields:
    """Annotated fields with defaults, set by keyword; one that is not annotated is refused."""

    def __init__(self, **given: Any) -> None:
        names: set[str] = set()
        for each in type(self).__mro__:
            names |= set(getattr(each, "__annotations__", {}))
        for name, value in given.items():
            if name not in names:
                raise TypeError(f"{type(self).__name__} has no field {name}")
            setattr(self, name, value)


class TaskConfig(_Fields):
    pass


class TasksetConfig(_Fields):
    id: str = ""
    task: Any = None


class HarnessConfig(_Fields):
    id: str = ""


class TaskData(_Fields):
    idx: Any = None
    name: Any = None
    prompt: Any = None
    system_prompt: Any = None


@dataclass
class Trace:
    info: dict[str, Any] = field(default_factory=dict)
    stop_condition: str | None = None


@dataclass
class ProgramResult:
    exit_code: int
    stdout: str
    stderr: str


@dataclass
class ModelContext:
    model: str


class Runtime:
    pass


def reward(function: T) -> T:
    function.kind = "reward"
    return function


def metric(function: T) -> T:
    function.kind = "metric"
    return function


class Task(Generic[T]):
    def __init__(self, data: T, config: Any = None) -> None:
        self.data = data


class Taskset(Generic[T, C]):
    def __init__(self, config: C) -> None:
        self.config = config


class Harness(Generic[C]):
    def __init__(self, config: C) -> None:
        self.config = config
