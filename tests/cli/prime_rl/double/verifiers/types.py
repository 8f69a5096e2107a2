"""Messages with fields and model_dump, as upstream's have."""

from __future__ import annotations

from typing import Any

Messages = list


class State(dict):
    """A rollout as it is played."""


class Message:
    def __init__(self, **fields: Any) -> None:
        self.fields = fields

    @classmethod
    def of(cls, value: Any) -> Message:
        return value if isinstance(value, Message) else cls(**value)

    def model_dump(self, *, exclude_none: bool = False) -> dict[str, Any]:
        return {key: value for key, value in self.fields.items() if not exclude_none or value is not None}


class SystemMessage(Message):
    """What a model is told about its task."""


class UserMessage(Message):
    """What is said to a model."""


class ToolMessage(Message):
    """What a tool answered."""


class AssistantMessage(Message):
    """What a model says; tool calls are flat: id, name, arguments."""


class Tool:
    def __init__(self, *, name: str, description: str, parameters: dict[str, Any]) -> None:
        self.name = name
        self.description = description
        self.parameters = parameters
