"""A stand-in for verifiers, which cannot be installed where tests run.

Only as much as the exported package touches, made after what upstream documents of a
rollout's life: set-up, then stop conditions before each request to the model, the
environment's answer between two replies, clean-up, scoring.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .types import AssistantMessage, Message, State


class Error(Exception):
    """What a rollout catches."""


class OverlongPromptError(Error):
    """The conversation does not fit the model."""


def cleanup(*, priority: int = 0) -> Callable[[Any], Any]:
    def mark(function: Any) -> Any:
        function.cleanup_priority = priority
        return function

    return mark


def teardown(function: Any) -> Any:
    function.is_teardown = True
    return function


class Rubric:
    def __init__(self, funcs: list[Any], weights: list[float]) -> None:
        self.funcs = funcs
        self.weights = weights

    def score(self, state: State) -> None:
        scores = [float(function(state=state)) for function in self.funcs]
        state["reward"] = sum(score * weight for score, weight in zip(scores, self.weights))
        names = [function.__name__ for function in self.funcs]
        state["metrics"] = dict(zip(names, scores))


class MultiTurnEnv:
    def __init__(
        self,
        *,
        max_turns: int,
        dataset: Any,
        eval_dataset: Any,
        rubric: Rubric,
        tool_defs: Any,
        sampling_args: Any,
        pass_threshold: float,
    ) -> None:
        if max_turns != -1:
            raise ValueError("the environment's own program counts the turns")
        self.dataset = dataset
        self.eval_dataset = eval_dataset
        self.rubric = rubric
        self.tool_defs = tool_defs
        self.sampling_args = sampling_args
        self.pass_threshold = pass_threshold

    def _marked(self, mark: str) -> list[Any]:
        found = [getattr(self, name) for name in dir(type(self))]
        return sorted(
            (each for each in found if hasattr(each, mark)),
            key=lambda each: -int(getattr(each, mark)),
        )

    async def rollout(self, row: dict[str, Any], model: Callable[..., Any], max_turns: int = -1) -> State:
        """Plays a row with ``model(messages, tools) -> AssistantMessage`` and scores it."""
        state = State(
            prompt=[Message.of(message) for message in row["prompt"]],
            answer=row["answer"],
            info=json.loads(row["info"]),
            trajectory=[],
            error=None,
            final_env_response=None,
            stop_condition=None,
            is_truncated=False,
        )
        try:
            await self.setup_state(state)
        except Error as error:
            state["error"] = error
        while not self._over(state, max_turns):
            try:
                await self._turn(state, model)
            except OverlongPromptError:
                state["prompt_too_long"] = True
                state["is_truncated"] = True
            except Error as error:
                state["error"] = error
        conversation = list(state["prompt"])
        if state["trajectory"]:
            last = state["trajectory"][-1]
            conversation = [*last["prompt"], *last["completion"]]
        final = [Message.of(message) for message in state["final_env_response"] or []]
        state["completion"] = [*conversation, *final][len(state["prompt"]) :]
        for handler in self._marked("cleanup_priority"):
            await handler(state)
        self.rubric.score(state)
        return state

    async def close(self) -> None:
        for handler in self._marked("is_teardown"):
            await handler()

    @staticmethod
    def _over(state: State, max_turns: int) -> bool:
        conditions = {
            "has_error": state["error"] is not None,
            "has_final_env_response": state["final_env_response"] is not None,
            "max_turns_reached": 0 <= max_turns <= len(state["trajectory"]),
            "prompt_too_long": state.get("prompt_too_long", False),
        }
        state["stop_condition"] = next((name for name, holds in conditions.items() if holds), None)
        return state["stop_condition"] is not None

    async def _turn(self, state: State, model: Callable[..., Any]) -> None:
        messages = state["prompt"]
        if state["trajectory"]:
            last = state["trajectory"][-1]
            messages = [*last["prompt"], *last["completion"]]
            answer = await self.env_response(messages, state)
            messages = [*messages, *(Message.of(message) for message in answer)]
            if state["final_env_response"] is not None:
                return
        reply: AssistantMessage = await model(messages, state["tool_defs"])
        step = {"prompt": messages, "completion": [reply], "response": None, "is_truncated": False}
        state["trajectory"].append(step)
