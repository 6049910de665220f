"""The composition root: settings in, a running team out."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from agents.domain.budget import Budget, Price, Prices, parse_prices
from agents.domain.errors import BadInput, SettingsError
from agents.domain.message import new_id
from agents.domain.ports import OpenRoom
from agents.domain.redaction import SecretMask
from agents.domain.role import ROLES, Role
from agents.domain.turn import Claim, Outcome
from agents.react.breaker import TEAM_WINDOW
from agents.react.context import Turn
from agents.react.governed import GovernedModel, SharedPace
from agents.react.loop import ReAct
from agents.react.models import ChatModel, Pace
from agents.react.transport import Endpoint, Timeouts, Transport
from agents.room import open_room
from agents.room.keyring import Keyring
from agents.room.opening import RedisOpenRoom
from agents.runtime.budget import BudgetAlarm
from agents.runtime.control import Switchboard
from agents.runtime.convergence import Convergence
from agents.runtime.forgeries import Forgeries
from agents.runtime.listener import Agent, Limits, Progress
from agents.runtime.prompts import PromptLibrary
from agents.runtime.reply import DONE_MARK
from agents.runtime.team import Notices, Team
from agents.runtime.vigil import Vigil
from agents.settings import HOME, Settings
from agents.telemetry.execution_log import MarkdownExecutionLog
from agents.telemetry.heads import HeadPublisher
from agents.telemetry.ledger import Ledger
from agents.telemetry.logs import configure
from agents.telemetry.pulse import Pulse
from agents.toolbox import Toolbox
from agents.tools.assessment import Assessor
from agents.tools.gate import Books, ToolGate
from agents.tools.policy import Policy, PolicyFile
from agents.tools.warrants import Warrants

log = structlog.get_logger()
POLICY = "policy.yaml"
FIRST_CONTACT = 10.0  # seconds Redis is given to answer at start
WATCHER = "Observer"  # the role whose process reports forgeries; every process drops them


@dataclass(frozen=True)
class Mind:
    """Thinks a role's turns: gathers what the context needs, then runs the loop."""

    opened: OpenRoom
    prompts: PromptLibrary
    react: ReAct
    window: int

    async def __call__(self, role: Role, claim: Claim, progress: Progress) -> Outcome:
        """The turn's outcome."""
        mission, control, said = await asyncio.gather(
            self.opened.mission.read(), self.opened.control.read(), self.opened.room.said(self.window)
        )
        turn = Turn(
            role,
            self.prompts.roster(),
            self.prompts.shared(),
            claim,
            mission=mission,
            control=control,
            window=said,
            limit=self.window,
            progress=progress,
        )
        return await self.react.run(turn)


async def run(settings: Settings, names: Sequence[str]) -> None:
    """Run the named roles until SIGTERM or SIGINT. Raise BadInput or RoomError for what can't be started."""
    redactor = SecretMask(settings.secrets())
    configure(settings.log_level, redactor)
    opened = await _opened(settings, names)
    notices = Notices(opened, redactor)
    opened.signatures.complain = Forgeries(notices.say if WATCHER in names else _log_forgery).heard
    home = settings.minilab_home
    prompts = PromptLibrary(home / "prompts", notices.say, threat_model=home / "docs" / "threat_model.md")
    roles = [prompts.role(name) for name in names]
    ledger = Ledger(settings.state_dir / "ledger", settings.room, redactor, notices.say, host=socket.gethostname())
    toolbox = await _toolbox(settings, opened, redactor, ledger, names)
    _name_unknown_tools(roles, toolbox.registry.names(), notices)
    docs = MarkdownExecutionLog(settings.minilab_home / "docs", redactor, notices.say)
    books = Books(opened.journal, docs, redactor, toolbox.spool.cap)
    policy = _policy(settings, toolbox.registry.names())
    assessor = Assessor(settings.room, redactor)
    warrants = Warrants(assessor, policy, opened.approvals, opened.findings, ledger, notices.say)
    gate = ToolGate(toolbox.registry, books, warrants, opened.leases)
    governor = opened.governor(_budget(settings))
    transport, models = _models(settings, SharedPace(governor, _paused))
    prices = _prices(settings)
    lead = next((role.name for role in roles if role.answers_user), None)
    alarm = BudgetAlarm(opened, governor, next(iter(prompts.roster().answers_user), None))
    failures = opened.failures(TEAM_WINDOW)

    async def objection(role: Role, text: str) -> str | None:
        """`[DONE]` is `finish` by another name."""
        return await toolbox.finish_line.objection() if role.answers_user and DONE_MARK in text else None

    def mind(role: str) -> Mind:
        governed = {tier: GovernedModel(model, governor, role, prices, alarm) for tier, model in models.items()}
        react = ReAct(governed, gate, opened.journal, redactor, toolbox.registry.schemas, failures, objection)
        return Mind(opened, prompts, react, settings.history_limit)

    limits = Limits(lease=settings.lease_seconds, window=settings.history_limit, hop_budget=settings.hop_budget)
    host, life = socket.gethostname(), new_id()[:8]
    agents = [
        Agent(name, f"{name}@{host}:{os.getpid()}-{life}", host, opened, prompts, mind(name), redactor, limits)
        for name in names
    ]

    publishing = asyncio.create_task(HeadPublisher(ledger, opened.heads).run(), name="ledger head")

    async def close() -> None:
        await toolbox.close()
        publishing.cancel()  # it publishes what halting wrote
        await asyncio.wait([publishing])
        await transport.aclose()

    switchboard = Switchboard(opened, agents, toolbox.halt, toolbox.hear)
    vigil = Vigil(opened, switchboard)
    convergence = Convergence(opened, lead) if lead else None
    pulse = Pulse(settings.state_dir / "pulse", notices.say)
    team = Team(opened, agents, switchboard, notices, vigil, convergence, close, pulse)
    log.info("team up", roles=" ".join(names), host=host)
    await _until_signalled(team)


def _name_unknown_tools(roles: Sequence[Role], known: Sequence[str], notices: Notices) -> None:
    for role in roles:
        if unknown := sorted(set(role.tools) - set(known)):
            notices.say(f"prompts/{role.name}.md names tools that don't exist: {', '.join(unknown)}")


async def _toolbox(
    settings: Settings, opened: OpenRoom, redactor: SecretMask, ledger: Ledger, names: Sequence[str]
) -> Toolbox:
    """The tools, with what workers that were killed left in the room taken off its lists."""
    toolbox = Toolbox(settings, opened, redactor, ledger, names)
    await toolbox.hosting.sweep()
    return toolbox


async def _opened(settings: Settings, names: Sequence[str]) -> RedisOpenRoom:
    """The room, with the keys of `names`.

    A Redis that can't be reached now is an error; one that goes away later is waited for.
    """
    if settings.room_url is None:
        raise SettingsError("REDIS_URL: not set; ./minilab up starts a Redis of its own, agents alone need one given")
    first = await open_room(settings.room_url, settings.room, patience=FIRST_CONTACT)
    await first.aclose()
    keyring = Keyring.load(settings.signing_keys, names).require(names)
    return await open_room(settings.room_url, settings.room, lease=settings.lease_seconds, keyring=keyring)


def _log_forgery(text: str) -> None:
    log.warning("notice", text=text)


def _policy(settings: Settings, tools: Sequence[str]) -> PolicyFile:
    """The home's `policy.yaml`, else the shipped one, under the settings. Raise BadInput where it is broken."""

    def read() -> str:
        own = settings.minilab_home / POLICY
        return (own if own.is_file() else HOME / POLICY).read_text(encoding="utf-8")

    def adjust(policy: Policy) -> Policy:
        return policy.adjusted(
            require_human_approval=settings.agent_require_human_approval,
            risk_threshold=settings.agent_risk_threshold,
            autonomous_mode=settings.agent_autonomous_mode,
        )

    return PolicyFile(read, time.monotonic, adjust, tools)


def _paused(seconds: float) -> None:
    log.warning("the model endpoint asks for a pause: everybody waits", seconds=round(seconds, 1))


def _budget(settings: Settings) -> Budget:
    """What bounds spending and speed."""
    return Budget(
        usd=settings.budget_usd,
        tokens=settings.budget_tokens,
        usd_day=settings.budget_usd_day,
        rpm=settings.llm_rpm,
        tpm=settings.llm_tpm,
        room_rpm=settings.room_rpm,
        room_tpm=settings.room_tpm,
        lapse=settings.llm_timeout * (1 + len(settings.llm_model_fallbacks)) + 60,
    )


def _prices(settings: Settings) -> Prices:
    """What models take. Raise SettingsError for a table that is none."""
    default = Price(settings.llm_price_input, settings.llm_price_cached, settings.llm_price_output)
    return Prices(default, parse_prices(settings.llm_prices))


def _models(settings: Settings, pace: Pace) -> tuple[Transport, Mapping[str, ChatModel]]:
    """The endpoint, and a model for each tier; tiers of the same name share one."""
    key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else ""
    transport = Transport(Endpoint(settings.openai_api_base, key), Timeouts.within(settings.llm_timeout))
    tiers = {
        "fast": settings.llm_model_fast or settings.llm_model,
        "default": settings.llm_model,
        "strong": settings.llm_model_strong or settings.llm_model,
    }
    models = {
        model: ChatModel(
            transport,
            (model, *settings.llm_model_fallbacks),
            retries=settings.llm_retries,
            total=settings.llm_timeout,
            pace=pace,
        )
        for model in set(tiers.values())
    }
    return transport, {tier: models[model] for tier, model in tiers.items()}


async def _until_signalled(team: Team) -> None:
    """Run the team; SIGTERM and SIGINT end it in order."""
    running = asyncio.create_task(team.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    await asyncio.wait([running])
    if not running.cancelled():
        running.result()


def chosen(argument: str) -> tuple[str, ...]:
    """The roles a command line names: one, several with commas, or `all`. Raise BadInput naming the known ones."""
    if argument == "all":
        return ROLES
    names = {name.lower(): name for name in ROLES}
    unknown = [part for part in argument.split(",") if part.lower() not in names]
    if unknown:
        raise BadInput(f"no role {unknown[0]!r}; there are {', '.join(ROLES)}, and all")
    return tuple(names[part.lower()] for part in argument.split(","))
