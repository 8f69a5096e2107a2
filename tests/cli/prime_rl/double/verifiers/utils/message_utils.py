"""Messages of whatever form as objects."""

from __future__ import annotations

from typing import Any

from ..types import Message


def maybe_normalize_messages(messages: Any, field_name: str) -> list[Message]:
    return [Message.of(message) for message in messages]
