"""The environment for verifiers' v1 interface, which newer versions of prime-rl train on.

The harness plays the rollout: it asks the model through the endpoint that it is given,
and the environment's own program for everything else.
"""

from __future__ import annotations

from typing import Any, Literal

import httpx
import verifiers.v1 as vf

from .messages import from_wire, to_wire
from .runner import Runner, Session, Turn
from .tasks import JsonObject, load_tasks, manifest

KEY = "terrarium"
"""Under which a trace's info keeps the result."""
CONNECT_SECONDS = 10.0

_runners: dict[tuple[str | None, float, int], Runner] = {}


def runner_for(config: TerrariumHarnessConfig) -> Runner:
    """The program of this process, one for each set of settings."""
    key = (config.node, config.timeout_seconds, config.seed)
    if key not in _runners:
        _runners[key] = Runner(
            node=config.node, timeout_seconds=config.timeout_seconds, seed=config.seed
        )
    return _runners[key]


class TerrariumData(vf.TaskData):
    """One task: what the model is told, and all that the rewards look at."""

    split: Literal["train", "eval"]
    row: dict[str, Any]


class TerrariumTask(vf.Task[TerrariumData]):
    """Its scores are those that the environment's program gave at the end of the rollout."""

    @property
    def key(self) -> str:
        return f"{self.data.split}-{self.data.idx}"

    @vf.reward
    async def terrarium_reward(self, trace: vf.Trace) -> float:
        """The weighted sum as the environment's own rubric has it."""
        return _result_of(trace)["reward"]

    @vf.metric
    async def terrarium_metrics(self, trace: vf.Trace) -> dict[str, float]:
        """The score of every reward function by name, metrics included."""
        return dict(_result_of(trace)["metrics"])


class TerrariumConfig(vf.TasksetConfig):
    """Which of the package's tasks are played."""

    split: Literal["train", "eval"] = "train"
    num_examples: int = -1


class TerrariumTaskset(vf.Taskset[TerrariumTask, TerrariumConfig]):
    """The package's tasks."""

    def load(self) -> list[TerrariumTask]:
        split = self.config.split
        return [
            TerrariumTask(
                TerrariumData(
                    idx=row["example_id"],
                    name=f"{manifest()['name']}-{split}-{row['example_id']}",
                    prompt=[from_wire(message) for message in row["prompt"]],
                    split=split,
                    row=row,
                ),
                self.config.task,
            )
            for row in load_tasks(split, self.config.num_examples)
        ]


class TerrariumHarnessConfig(vf.HarnessConfig):
    """How the environment's program is run."""

    node: str | None = None
    timeout_seconds: float = 600.0
    seed: int = 0


class TerrariumHarness(vf.Harness[TerrariumHarnessConfig]):
    """Talks as the environment's own program says, in this process."""

    APPENDS_SYSTEM_PROMPT = True
    EXECUTES_CODE = False
    NEEDS_CONTAINER = False

    async def setup(self, runtime: vf.Runtime) -> None:
        runner_for(self.config).check_node()

    async def launch(
        self,
        ctx: vf.ModelContext,
        trace: vf.Trace,
        runtime: vf.Runtime,
        endpoint: str,
        secret: str,
        mcp_urls: dict[str, str],
        data: TerrariumData,
    ) -> vf.ProgramResult:
        session = Session(runner_for(self.config))
        timeout = httpx.Timeout(None, connect=CONNECT_SECONDS)
        headers = {"Authorization": f"Bearer {secret}"}
        try:
            async with httpx.AsyncClient(
                base_url=endpoint, headers=headers, timeout=timeout
            ) as client:
                trace.info[KEY] = await _play(session, client, ctx.model, trace, data)
        finally:
            await session.end()
        return vf.ProgramResult(exit_code=0, stdout="", stderr="")


async def _play(
    session: Session,
    client: httpx.AsyncClient,
    model: str,
    trace: vf.Trace,
    data: TerrariumData,
) -> JsonObject:
    """One rollout; returns its result."""
    conversation: list[JsonObject] = []
    turn = await session.start(data.row, data.split)
    while not turn.done:
        conversation += turn.messages
        body: JsonObject = {"model": model, "messages": conversation}
        if turn.tools:
            body["tools"] = [{"type": "function", "function": tool} for tool in turn.tools]
        response = await client.post("chat/completions", json=body)
        if response.is_error:
            turn = await _refused(session, response, trace)
            continue
        answer = response.json()
        choice = answer["choices"][0]
        said = {key: value for key, value in choice["message"].items() if value is not None}
        conversation.append(said)
        turn = await session.step(
            to_wire({**said, "role": "assistant"}),
            finish_reason=choice.get("finish_reason"),
            usage=answer.get("usage"),
        )
    error = turn.result["error"] if turn.result else None
    if error is not None:
        raise RuntimeError(f"{error['source']}: {error['name']}: {error['message']}")
    return turn.result or {}


async def _refused(session: Session, response: httpx.Response, trace: vf.Trace) -> Turn:
    """A limit of the engine ends the rollout, which is scored as it is; all else is a failure."""
    if trace.stop_condition is None:
        said = response.text[:500]
        raise RuntimeError(f"the model's endpoint said {response.status_code}: {said}")
    return await session.stop(trace.stop_condition)


def _result_of(trace: vf.Trace) -> JsonObject:
    result = trace.info.get(KEY)
    if result is None:
        raise RuntimeError("the environment's program has not scored this rollout")
    return result
