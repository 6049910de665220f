"""`minilab`: the command line. Reads the settings, composes the rest; imports nothing heavy before it needs it."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from types import ModuleType

    from agents.domain.ports import OpenRoom
    from agents.settings import Settings
    from client.desk import Front
    from client.doctor import Subject
    from client.hosts import Lab

HOME = Path(__file__).resolve().parent.parent
app = typer.Typer(
    help="A chat room in which a team of LLM agents does real infrastructure work.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
hosts_app = typer.Typer(help="The hosts the team may log in to.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(hosts_app, name="hosts")
approvals_app = typer.Typer(
    help="The acts that wait for a decision, for scripts.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(approvals_app, name="approvals")
Act = Annotated[str, typer.Argument(help="Its id, such as a1b2c3d.")]
keys_app = typer.Typer(
    help="Signing keys and Redis' users.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(keys_app, name="keys")
ledger_app = typer.Typer(
    help="The record of every decision and effect.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(ledger_app, name="ledger")
Objective = Annotated[list[str] | None, typer.Argument(help="What you want, in your own words.")]


@app.command()
def up(objective: Objective = None) -> None:
    """Start the team (or join the one that is up), say the objective, converse."""
    from client import desk

    _run(lambda front: desk.up(front, _words(objective)))


@app.command()
def console() -> None:
    """Join the team that is up, here or on REDIS_URL."""
    from client import desk

    _run(desk.console)


@app.command()
def run(objective: Objective = None) -> None:
    """One objective: activity to stderr, the answer to stdout. Exit 0 done, 1 failed, 3 stopped, 4 awaiting input."""
    from client import desk

    words = _words(objective)
    if not words:
        raise typer.BadParameter('say what you want: ./minilab run "…"')
    _run(lambda front: desk.run(front, words))


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False) -> None:
    """Check this machine: programs, sandbox, Redis, model endpoint. Exit 1 if something needed is missing."""
    from client import doctor

    raise SystemExit(doctor.main(_subject(_settings()), as_json=as_json))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def test(context: typer.Context) -> None:
    """Everything `make check` does: ruff, mypy, the import contracts and pytest (which gets the extra arguments)."""
    from client import selftest

    raise SystemExit(selftest.main(HOME, context.args))


@app.command()
def setup(dev: Annotated[bool, typer.Option("--dev", help="With the test tools.")] = False) -> None:
    """Only prepare .venv, as every command does when it is out of step with uv.lock."""
    print(f"{sys.prefix} is in step with uv.lock{', test tools included' if dev else ''}")


@app.command()
def init() -> None:
    """Write .env from .env.template; an .env that is there stays as it is."""
    from client import initialise

    raise SystemExit(initialise.main(HOME))


@approvals_app.command("list")
def approvals_list() -> None:
    """Every act that waits for a decision."""
    _run(lambda front: _approvals(front, lambda opened: _decisions().listing(opened)))


@approvals_app.command("show")
def approvals_show(id: Act) -> None:
    """What would run: the card and all of the material."""
    _run(lambda front: _approvals(front, lambda opened: _decisions().shown(opened, id)))


@approvals_app.command("approve")
def approvals_approve(
    id: Act, digest: Annotated[str, typer.Option(help="Only if its digest starts so: what you have read.")] = ""
) -> None:
    """Give leave for exactly that act, once."""
    _run(lambda front: _approvals(front, lambda opened: _decisions().decide(opened, id, approve=True, digest=digest)))


@approvals_app.command("reject")
def approvals_reject(id: Act, why: Annotated[list[str], typer.Argument(help="What is wrong, and the fix.")]) -> None:
    """Refuse it; the one who asked reads why."""
    reason = _words(why)
    _run(
        lambda front: _approvals(front, lambda opened: _decisions().decide(opened, id, approve=False, reason=reason))
    )


def _decisions() -> "ModuleType":
    from client import approvals

    return approvals


async def _approvals(front: "Front", work: Callable[["OpenRoom"], Coroutine[Any, Any, str]]) -> int:
    """Join the room, do it, print what came of it."""
    from client.session import visit
    from client.text import clean

    async with visit(front.place) as session:
        print(clean(await work(session.opened)))
    return 0


@hosts_app.command("list")
def hosts_list() -> None:
    """Every host of config/hosts.yaml, and whether its key is pinned."""
    from client import hosts

    print(hosts.listing(_lab()))


@hosts_app.command("trust")
def hosts_trust(
    name: Annotated[str, typer.Argument(help="A host of config/hosts.yaml.")],
    fingerprint: Annotated[str | None, typer.Option(help="Pin without asking if it is this one: SHA256:…")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Instead of another key pinned before.")] = False,
) -> None:
    """Fetch a host's key, show its fingerprint, and pin it if you say it is right."""
    from client import hosts

    hosts.trust(_lab(), name, wanted=fingerprint, replace=replace, ask=typer.confirm, say=print)


@keys_app.command("init")
def keys_init(
    renew: Annotated[list[str] | None, typer.Option(help="Make this one's key anew: Coder, User, …")] = None,
) -> None:
    """Make the keys that are missing: one per role and yours. Messages and decisions are signed with them."""
    from client import keys

    raise SystemExit(keys.init(_settings().signing_keys, renew or ()))


@keys_app.command("list")
def keys_list() -> None:
    """Whose keys are on this machine, and the public ones in short, to compare with another machine's."""
    from client import keys

    raise SystemExit(keys.show(_settings().signing_keys))


@keys_app.command("acl")
def keys_acl(
    target: Annotated[Path | None, typer.Argument(help="File to write, readable by you only; else printed.")] = None,
) -> None:
    """Redis' user list: one user per role and yours, each with the least rights. Passwords lie beside the keys."""
    from client import keys

    settings = _settings()
    raise SystemExit(keys.write_acl(settings.signing_keys, settings.room, target))


@ledger_app.command("verify")
def ledger_verify() -> None:
    """Follow the ledger's chain. Exit 1 and the first bad line if anything was edited, deleted, moved or cut off."""
    import socket

    from client import ledger

    front = _front(_settings())
    _quiet_logs()
    raise SystemExit(asyncio.run(ledger.verify(front.place, socket.gethostname(), print)))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def compose(context: typer.Context) -> None:
    """The team in containers: up [--demo] [--build], attach, forward PORT, prepare; the rest is compose's own."""
    from client import compose as containers

    settings = _settings()
    key = settings.openai_api_key
    stack = containers.Stack(
        HOME, settings.room, os.environ, key.get_secret_value() if key else None, settings.kubeconfig_path
    )
    raise SystemExit(containers.main(stack, context.args, containers.tell))


@app.command()
def why(thing: Annotated[str, typer.Argument(help="A file, resource address, approval id or check id.")]) -> None:
    """The message, the approval and the tool call behind a thing. Exit 1 if nothing is known of it."""
    from client import why as ask

    front = _front(_settings())
    _quiet_logs()
    raise SystemExit(asyncio.run(ask.why(front.place, front.home, thing, front.mask, print)))


def main() -> None:
    """The program."""
    from agents.domain.errors import BadInput, MiniLabError

    try:
        app(prog_name="minilab")
    except MiniLabError as error:
        print(f"minilab: {error}", file=sys.stderr)
        raise SystemExit(2 if isinstance(error, BadInput) else 1) from None


def _words(objective: list[str] | None) -> str:
    return " ".join(objective or ()).strip()


def _run(work: Callable[["Front"], Coroutine[Any, Any, int]]) -> None:
    """Compose the user's side from the settings and run `work` until it ends or a signal comes."""
    from client.signals import Signalled, until_signalled

    _quiet_logs()
    front = _front(_settings())
    try:
        code = asyncio.run(until_signalled(work(front)))
    except Signalled as signalled:
        code = signalled.exit_code
    raise SystemExit(int(code))


def _settings() -> "Settings":
    from agents import settings

    return settings.load()


def _front(settings: "Settings") -> "Front":
    from agents.domain.redaction import SecretMask
    from client.desk import Front
    from client.session import Place

    place = Place(
        home=HOME,
        state_dir=settings.state_dir,
        keys=settings.signing_keys,
        room=settings.room,
        redis_url=settings.room_url,
        rehearsing=settings.rehearsing,
        environment={**os.environ, "MINILAB_HOME": str(settings.minilab_home)},
    )
    return Front(place, settings.minilab_home, SecretMask(settings.secrets()), _term())


def _lab() -> "Lab":
    from client import hosts

    settings = _settings()
    return hosts.lab(settings.minilab_home, settings.state_dir, settings.ssh_key_dir)


def _subject(settings: "Settings") -> "Subject":
    from client.doctor.rows import Endpoint, Subject

    key = settings.openai_api_key
    endpoint = Endpoint(settings.openai_api_base, key.get_secret_value(), settings.llm_model) if key else None
    return Subject(
        settings.minilab_home,
        settings.state_dir,
        settings.room_url,
        settings.room,
        settings.sandbox,
        endpoint,
        settings.ssh_key_dir,
    )


def _term() -> str:
    """The kind of terminal; a container's is often unnamed or named too modestly for colours."""
    if os.environ.get("TERM", "") in ("", "xterm"):
        os.environ["TERM"] = "xterm-256color"
    return os.environ["TERM"]


def _quiet_logs() -> None:
    """The room's log lines don't belong between the conversation's: what matters is said there."""
    import logging

    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


if __name__ == "__main__":
    main()
