"""An environment of Terrarium as a package for verifiers and prime-rl.

``load_environment`` is verifiers' classic interface; ``TerrariumTaskset`` and
``TerrariumHarness`` are its v1 interface. Each is imported when it is asked for: the
package needs only the one that the installed verifiers has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .environment import TerrariumEnv
    from .taskset import TerrariumHarness, TerrariumTaskset

__all__ = ["TerrariumHarness", "TerrariumTaskset", "load_environment"]


def load_environment(
    *,
    num_train_examples: int = -1,
    num_eval_examples: int = -1,
    seed: int = 0,
    node: str | None = None,
    timeout_seconds: float = 600.0,
) -> TerrariumEnv:
    """The environment for verifiers' classic interface.

    Its own options were set when the package was made (``data/manifest.json``).

    Args:
        num_train_examples: tasks to train on, from the first; -1 = all.
        num_eval_examples: tasks to evaluate on; -1 = all.
        seed: of the environment's own dice, where it has any.
        node: the Node.js to run the rewards with; the first on the PATH unless given.
        timeout_seconds: how long one answer of the environment may take.
    """
    from .environment import load_environment as load

    return load(
        num_train_examples=num_train_examples,
        num_eval_examples=num_eval_examples,
        seed=seed,
        node=node,
        timeout_seconds=timeout_seconds,
    )


def __getattr__(name: str) -> Any:
    if name in ("TerrariumHarness", "TerrariumTaskset"):
        from . import taskset

        return getattr(taskset, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
