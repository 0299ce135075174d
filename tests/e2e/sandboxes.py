"""Sandboxes: the packaged function as Lambda runs it, by the real runtime client, until killed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import Empty
from types import TracebackType
from typing import Any, Self

from e2e.template import FunctionSpec
from support.aws_model.sandbox import Failed, Outcome, Responded
from support.runtime_api import Function

POLL_S = 0.02
COLD_S, WARM_S = 10.0, 0.5
"""What a function is waited for beyond its timeout: the start of its process comes before it."""
PYTHON = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
CLIENT = (str(PYTHON), "-S", "-s", "-m", "awslambdaric")
"""Starts the runtime client so that nothing that is installed for tests can be found by it."""


class Sandboxes:
    """Invokes one function; a sandbox is kept warm, unless every start is to be cold."""

    def __init__(  # noqa: PLR0913  # what a sandbox is made of
        self,
        spec: FunctionSpec,
        task_root: Path,
        runtime_client: Path,
        environ: Mapping[str, str],
        folder: Path,
        *,
        is_cold: bool,
    ) -> None:
        """Run what lies in `task_root`, with the spec's settings and `environ` over them."""
        self._spec = spec
        self._folder = folder
        self._is_cold = is_cold
        self._warm: Function | None = None
        self._environ = {
            "AWS_LAMBDA_FUNCTION_NAME": spec.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory_mb),
            "LAMBDA_TASK_ROOT": str(task_root),
            "PYTHONPATH": f"{task_root}:{runtime_client}",
            **spec.environ,
            **environ,
        }
        self.kill_when: Callable[[], bool] = lambda: False
        """Asked while a function works: whether it is to be killed now."""
        self.killed = 0
        """Sandboxes that did not answer in time, or were to be killed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def invoke(self, event: dict[str, Any]) -> Outcome:
        """Invoke the function once, and tell what its source gets to see of it."""
        start_s = COLD_S if self._warm is None else WARM_S
        function = self._function()
        function.send(event)
        answer = self._wait(function, self._spec.timeout_s + start_s)
        if answer is None or self._is_cold:
            self._end()
        if answer is None:
            self.killed += 1
            return Failed("killed")
        kind, body = answer
        if kind == "error":
            assert not body["errorType"].startswith("Runtime."), f"it cannot start: {body}"
            return Failed(f"{body['errorType']}: {body['errorMessage']}")
        return Responded(_identifiers(body))

    def _wait(self, function: Function, longest_s: float) -> tuple[str, Any] | None:
        """Wait for the answer; None: it is to be killed, or its time is over."""
        until_s = time.monotonic() + longest_s
        while time.monotonic() < until_s and not self.kill_when():
            has_ended = function.has_ended
            try:
                return function.wait_response(POLL_S)
            except Empty:
                if has_ended:
                    break
        return None

    def _function(self) -> Function:
        if self._warm is None:
            timeout_s = self._spec.timeout_s
            function = Function(
                self._environ,
                self._folder,
                self._spec.handler,
                client=CLIENT,
                remaining_s=timeout_s,
            )
            self._warm = function.__enter__()
        return self._warm

    def _end(self) -> None:
        function, self._warm = self._warm, None
        if function is not None:
            function.__exit__(None, None, None)


def _identifiers(answer: Any) -> tuple[str, ...]:  # noqa: ANN401  # JSON
    """Read an answer as the mapping does: what is not there is no failure; nonsense is unknown.

    Source: AWS Lambda developer guide, "Success and failure conditions".
    """
    if not isinstance(answer, Mapping):
        return ()
    failures = answer.get("batchItemFailures") or []
    return tuple(str(failure.get("itemIdentifier") or "") for failure in failures)
