"""A Terraform module: its saved plan, kept with its hash out of the agents' reach, and who is at work in it."""

import asyncio
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from agents.domain.errors import Refused
from agents.domain.message import now
from agents.executors.plan_summary import PlanSummary

_LOCK_POLL = 0.1


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """The plan an apply of `module` would take. `sha256` is the plan file's; `made` is in UTC.

    `identity` is that of `plan_identity`, `facts` its facts; `text` is the plan in our words, `told` in Terraform's.
    """

    module: str
    sha256: str
    made: str
    headline: str
    destroys: bool
    empty: bool
    identity: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    told: str = ""
    provisioners: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Module:
    """A module: where its configuration is, and the private folder that holds what belongs to it."""

    shown: str
    directory: Path
    private: Path

    @property
    def plan(self) -> Path:
        """The saved plan's file; without its record it counts for nothing."""
        return self.private / "plan"

    @property
    def _record(self) -> Path:
        return self.private / "plan.json"

    def save(
        self,
        summary: PlanSummary,
        *,
        identity: str = "",
        facts: Mapping[str, Any] | None = None,
        text: str = "",
        told: str = "",
    ) -> None:
        """Record the plan file as the one an apply takes. The texts must have no secret in them."""
        self.plan.chmod(0o600)
        saved = SavedPlan(
            module=self.shown,
            sha256=_sha256(self.plan),
            made=now(),
            headline=summary.headline(),
            destroys=summary.destroys,
            empty=summary.empty,
            identity=identity,
            facts=facts or {},
            text=text,
            told=told,
            provisioners=summary.provisioners,
        )
        self._record.write_text(json.dumps(asdict(saved)), encoding="utf-8")

    def saved(self) -> SavedPlan | None:
        """The saved plan's record; one that can't be read is none."""
        try:
            body = json.loads(self._record.read_text(encoding="utf-8"))
            return SavedPlan(**{**body, "provisioners": tuple(body["provisioners"])})
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None

    def forget(self) -> None:
        """Drop the saved plan."""
        self._record.unlink(missing_ok=True)
        self.plan.unlink(missing_ok=True)

    def take(self, copy: Path, identity: str | None = None) -> SavedPlan:
        """Move the saved plan to `copy`, once. Raise Refused if there is none or it isn't the one that was shown.

        `identity`: that of the plan that was approved; another one stays where it is.
        """
        saved = self.saved()
        if saved is None or not self.plan.is_file():
            raise Refused(f"there is no saved plan for {self.shown}: run action plan first, then apply")
        if identity is not None and identity != saved.identity:
            raise Refused(f"the saved plan of {self.shown} is not the one that was approved: apply asks again")
        shutil.copyfile(self.plan, copy)
        self.forget()
        if _sha256(copy) != saved.sha256:
            raise Refused(f"the saved plan of {self.shown} was altered after it was made: run action plan again")
        return saved


@asynccontextmanager
async def held(module: Module, holder: str, wait: float) -> AsyncIterator[None]:
    """Hold the module against other runs, on this machine, of any process. Raise Refused naming the holder."""
    with (module.private / "lock").open("a+", encoding="utf-8") as file:
        until = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    file.seek(0)
                    who = file.read(300).strip() or "another run"
                    raise Refused(f"{module.shown} is held by {who}: wait until that run has ended") from None
                await asyncio.sleep(_LOCK_POLL)
        file.truncate(0)
        file.write(f"{holder} (process {os.getpid()}, since {now()})")
        file.flush()
        yield


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
