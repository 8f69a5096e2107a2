"""The environment for verifiers' classic interface: ``load_environment``."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import verifiers as vf
from datasets import Dataset
from verifiers.types import (
    AssistantMessage,
    Messages,
    State,
    SystemMessage,
    Tool,
    ToolMessage,
    UserMessage,
)

from .messages import from_wire, to_wire
from .runner import Runner, RunnerError, Session, Turn
from .tasks import JsonObject, load_tasks, manifest

KEY = "terrarium"
"""Under which a rollout's state and a task's info keep what is ours."""
COUNTED_BY_VERIFIERS = ("num_turns",)
"""Metrics that its MultiTurnEnv has under the same name."""
REWARD = "terrarium_reward"
"""The reward function: the weighted sum as the environment's own rubric has it."""


class EnvironmentProgramError(vf.Error):
    """The environment's program failed, or a tool or reward in it did."""


class TerrariumEnv(vf.MultiTurnEnv):
    """Talks as the environment's own program says.

    Between two replies of the model stands one request to the program: it runs the
    tools, answers as the game or the user, decides whether the rollout is over, and
    scores it.
    """

    def __init__(self, runner: Runner, tasks: dict[str, list[JsonObject]]) -> None:
        facts = manifest()
        self.runner = runner
        self.tasks = {
            split: {task["example_id"]: task for task in rows} for split, rows in tasks.items()
        }
        sampling = facts["sampling"]
        super().__init__(
            max_turns=-1,
            dataset=Dataset.from_list([_row(task, "train") for task in tasks["train"]]),
            eval_dataset=Dataset.from_list([_row(task, "eval") for task in tasks["eval"]]),
            rubric=vf.Rubric(*_reward_functions(facts["metrics"])),
            tool_defs=[Tool(**tool) for tool in facts["tools"]] or None,
            sampling_args=sampling or None,
            pass_threshold=facts["pass_threshold"],
        )

    async def setup_state(self, state: State) -> State:
        """Begins the rollout in the environment's program."""
        place = state["info"][KEY]
        task = self.tasks[place["split"]][place["example_id"]]
        prompt = [to_wire(message) for message in state["prompt"]]
        session = Session(self.runner)
        state[KEY] = {"session": session, "replies": 0}
        turn = await _guarded(session.start({**task, "prompt": prompt}, place["split"]))
        _note(turn)
        if turn.done:
            state["final_env_response"] = []  # over before the model said anything
            return state
        state["tool_defs"] = [Tool(**tool) for tool in turn.tools]
        if turn.messages != prompt:  # a game tells its player more than the task does
            state["prompt"] = _typed(turn.messages)
        return state

    async def env_response(self, messages: Messages, state: State, **kwargs: Any) -> Messages:
        """What the environment answers to the last reply; its last word ends the rollout."""
        turn = await self._tell_last_reply(state)
        answer = _typed(turn.messages)
        if turn.done:
            state["final_env_response"] = answer
        return answer

    @vf.cleanup(priority=50)
    async def finish_session(self, state: State) -> None:
        """Scores what was ended from outside, and lets the program forget the rollout."""
        ours = state.get(KEY)
        if ours is None:
            return
        session: Session = ours["session"]
        try:
            if session.result is None and state.get("error") is None:
                await self._score_as_it_is(state)
            if session.result is not None:
                state["is_truncated"] = session.result["is_truncated"]
                state["stop_condition"] = session.result["stop_condition"]
        except vf.Error as error:
            state["error"] = error
        finally:
            ours["result"] = session.result
            ours.pop("session")
            try:
                await session.end()
            except RunnerError:
                pass  # the program is gone, and the rollout with it

    async def _score_as_it_is(self, state: State) -> None:
        """The engine ended the rollout: by a limit of its own, or because nothing fits any more."""
        session: Session = state[KEY]["session"]
        condition = state.get("stop_condition") or "prompt_too_long"
        if len(state["trajectory"]) > state[KEY]["replies"]:
            turn = await self._tell_last_reply(state)
            if turn.done:
                return
        _note(await _guarded(session.stop(condition)))

    async def _tell_last_reply(self, state: State) -> Turn:
        step = state["trajectory"][-1]
        response = step.get("response")
        reply = step["completion"][-1]
        message = getattr(response, "message", None)
        finish = getattr(message, "finish_reason", None)
        if step.get("is_truncated"):
            finish = "length"
        usage = getattr(response, "usage", None)
        counts = None
        if usage is not None:
            counts = {
                "prompt_tokens": usage.prompt_tokens,
                "completion_tokens": usage.completion_tokens,
            }
        session: Session = state[KEY]["session"]
        state[KEY]["replies"] = len(state["trajectory"])
        turn = await _guarded(session.step(to_wire(reply), finish_reason=finish, usage=counts))
        _note(turn)
        return turn

    @vf.teardown
    async def close_runner(self) -> None:
        """Ends the environment's program."""
        self.runner.close()


MESSAGES = {
    "system": SystemMessage,
    "user": UserMessage,
    "assistant": AssistantMessage,
    "tool": ToolMessage,
}


def _typed(messages: list[JsonObject]) -> Messages:
    """Messages of the environment as objects of verifiers."""
    flat = [from_wire(message) for message in messages]
    return [MESSAGES[message["role"]](**message) for message in flat]


def _row(task: JsonObject, split: str) -> JsonObject:
    """A row of a dataset. ``info`` is JSON text: tables would give all rows the same keys."""
    info = {**task.get("info", {}), KEY: {"split": split, "example_id": task["example_id"]}}
    return {
        "example_id": task["example_id"],
        "prompt": [from_wire(message) for message in task["prompt"]],
        "answer": task.get("answer", ""),
        "info": json.dumps(info),
    }


async def _guarded(turn: Any) -> Turn:
    """What fails in the program fails the rollout: it is no reward of 0."""
    try:
        return await turn
    except RunnerError as error:
        raise EnvironmentProgramError(str(error)) from error


def _note(turn: Turn) -> None:
    """Raises what the environment says went wrong."""
    if turn.result is None or turn.result["error"] is None:
        return
    error = turn.result["error"]
    where = f" ({error['where']})" if error.get("where") else ""
    raise EnvironmentProgramError(f"{error['source']}{where}: {error['name']}: {error['message']}")


def _reward_functions(metrics: list[str]) -> tuple[list[Callable[..., float]], list[float]]:
    """The reward, and a function of weight 0 for each metric."""

    def reader(name: str, read: Callable[[JsonObject], float | None]) -> Callable[..., float]:
        def value(state: State, **kwargs: Any) -> float:
            result = state[KEY].get("result") or {}
            return float(read(result) or 0.0)

        value.__name__ = name
        return value

    functions = [reader(REWARD, lambda result: result.get("reward"))]
    names = [name for name in metrics if name not in COUNTED_BY_VERIFIERS]
    for metric in names:
        functions.append(reader(metric, lambda result, m=metric: result.get("metrics", {}).get(m)))
    return functions, [1.0] + [0.0] * len(names)


def load_environment(
    *,
    num_train_examples: int = -1,
    num_eval_examples: int = -1,
    seed: int = 0,
    node: str | None = None,
    timeout_seconds: float = 600.0,
) -> TerrariumEnv:
    """The environment with its tasks; see the package's ``load_environment``."""
    runner = Runner(node=node, timeout_seconds=timeout_seconds, seed=seed)
    runner.check_node()
    tasks = {
        "train": load_tasks("train", num_train_examples),
        "eval": load_tasks("eval", num_eval_examples),
    }
    return TerrariumEnv(runner, tasks)
