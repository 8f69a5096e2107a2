"""Messages of an engine in OpenAI's form, whatever class they are of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

JsonObject = dict[str, Any]


def to_wire(message: Any) -> JsonObject:
    """One message: of verifiers' classes, or a mapping.

    Reasoning that an engine has parted from the text goes back in front of it, in the
    tags that models write it in: the environment's parsers look for them.
    """
    fields = _fields(message)
    role = fields.get("role")
    text = _text(fields.get("content"))
    wire: JsonObject = {"role": role, "content": text}
    if role == "assistant":
        reasoning = fields.get("reasoning_content")
        if isinstance(reasoning, str) and reasoning:
            wire["content"] = f"<think>\n{reasoning.strip()}\n</think>\n\n{text}"
        calls = [_call(call) for call in fields.get("tool_calls") or []]
        if calls:
            wire["tool_calls"] = calls
    if role == "tool":
        wire["tool_call_id"] = fields.get("tool_call_id") or ""
    return wire


def from_wire(message: JsonObject) -> JsonObject:
    """A message of the environment as verifiers takes it: calls are flat there."""
    calls = message.get("tool_calls")
    if not calls:
        return message
    flat = [{"id": call["id"], **call["function"]} for call in calls]
    return {**message, "content": message.get("content") or "", "tool_calls": flat}


def _fields(value: Any) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump(exclude_none=True)
    raise TypeError(f"{type(value).__name__} is no message")


def _text(content: Any) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    texts = []
    for part in content:
        fields = _fields(part)
        if fields.get("type") != "text":
            raise ValueError(f"a message holds {fields.get('type')!r}, and only text is understood")
        texts.append(str(fields.get("text", "")))
    return "".join(texts)


def _call(call: Any) -> JsonObject:
    fields = _fields(call)
    function = _fields(fields["function"]) if "function" in fields else fields
    return {
        "id": fields.get("id") or "",
        "type": "function",
        "function": {
            "name": function.get("name") or "",
            "arguments": function.get("arguments") or "",
        },
    }
