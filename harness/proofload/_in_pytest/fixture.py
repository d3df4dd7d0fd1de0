"""The fixture `proofload`: a run from code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import pytest

from proofload._in_pytest.asked import NOT_SHARED, is_a_worker
from proofload._in_pytest.measured import Measured
from proofload._in_pytest.runs import Runs
from proofload.errors import InputError, ProofloadError
from proofload.overrides import written
from proofload.run_process import RunError

Named = str | PathLike[str]
"""A name, a file or a URL."""


class Proofload:
    """Runs scenarios, each at once and in a process of its own. What code says wins over the options."""

    def __init__(self, config: pytest.Config) -> None:
        if is_a_worker(config):
            pytest.fail(NOT_SHARED, pytrace=False)
        self._runs = Runs.of(config)

    def run(
        self,
        scenario: Named,
        *,
        target: Named | None = None,
        canary: Named | None = None,
        payloads: Named | None = None,
        slo: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        quick: bool | None = None,
        runtime: str | None = None,
        device: str | None = None,
        out: Named | None = None,
        reference: Named | None = None,
        serving: Named | None = None,
        key: str | None = None,
        **keys: Any,
    ) -> Measured:
        """The scenario (a name or a file) on one target (a name, a file or a URL); returns its result.

        Names and relative paths are as on a command line typed at the repository's root. `slo` is the scenario's
        table; other keys of the scenario are named as they are (`rate_rps=500`), those with a dot and the target's in
        `settings` ({"target.model": "scorer"}). `quick=None`: quick, unless --proofload-full was given.

        A bad argument or a target that cannot be started or reached fails the test, with the reason.
        """
        __tracebackhide__ = True
        named = {
            "canary": canary,
            "payloads": payloads,
            "reference": reference,
            "serving": serving,
            "runtime": runtime,
            "device": device,
            "key": key,
        }
        others = {**self._runs.flags(), **{name: fspath(value) for name, value in named.items() if value is not None}}
        changes = {**{f"slo.{name}": value for name, value in (slo or {}).items()}, **keys, **(settings or {})}
        short = not self._runs.asked.full if quick is None else quick
        what = fspath(scenario)
        try:
            settled = [*self._runs.asked.settings, *written(changes)]
            plan = self._runs.plan(what, quick=short, targets=self._targets(target), settings=settled, others=others)
            if len(plan.targets) > 1:
                raise InputError(
                    f"the scenario {plan.name} names {len(plan.targets)} targets",
                    evidence=", ".join(plan.targets),
                    remedy="proofload.run(…, target=NAME) measures one: its result is what is returned",
                )
            return self._runs.measure(
                what,
                plan,
                plan.targets[0] if plan.targets else None,
                quick=short,
                out=None if out is None else Path(out),
                settings=settled,
                others=others,
            )
        except (ProofloadError, RunError) as error:
            problem = f"proofload.run: {error}"
        pytest.fail(problem, pytrace=False)

    def _targets(self, target: Named | None) -> Sequence[str]:
        return self._runs.asked.targets if target is None else (fspath(target),)
