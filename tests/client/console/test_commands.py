"""What one types and what becomes of it."""

import asyncio
from pathlib import Path

import pytest

from agents.domain.budget import Ask, Spent
from agents.domain.errors import BadInput, MessageTooLarge
from agents.domain.message import Kind, Message
from agents.domain.mission import HostedApp, Presence, RoomState, TcpProbe
from client.console import commands
from client.console.commands import COMMANDS, Desk, help_text, submit
from tests.support.desk import desk_of

PROBE = TcpProbe(type="tcp", title="port is open", host="127.0.0.1", port=1)


async def _posted(desk: Desk) -> list[Message]:
    return await desk.opened.room.events()


@pytest.mark.parametrize(
    ("line", "to"),
    [
        ("publish a page", ("Architect",)),
        ("@QA check it", ("QA",)),
        ("@qa_alias and @DevOps", ("QA", "DevOps")),
        ("@team stand up", ("Architect", "Coder", "DevOps", "Security", "QA", "Observer")),
        ("look at `@QA` and me@QA.example", ("Architect",)),
        ("/etc/hosts is wrong", ("Architect",)),
        ("STOP it when it is done", ("Architect",)),
        ("STOP @QA from meddling", ("QA",)),
        ("CLEAR @QA", ("QA",)),
        ("two\nlines", ("Architect",)),
    ],
)
async def test_words_are_said_to_those_they_tag(prompts: Path, line: str, to: tuple[str, ...]) -> None:
    desk, shown = desk_of(prompts)
    await submit(desk, f"  {line} ")
    [message] = await _posted(desk)
    assert (message.sender, message.content, message.kind, message.to) == ("User", line, Kind.SAY, to)
    assert shown.lines == []


async def test_an_unknown_tag_is_named_with_the_nearest(prompts: Path) -> None:
    desk, shown = desk_of(prompts)
    await submit(desk, "@Codr fix it, @Codr; mail x@y.example, `@Nobody`, npm @types/node, @User knows")
    assert shown.lines == ["── nobody is called @Codr; nearest: @Coder. Said to: Architect"]


async def test_nothing_typed_nothing_said(prompts: Path) -> None:
    desk, _ = desk_of(prompts)
    await submit(desk, " \n ")
    assert await _posted(desk) == []


@pytest.mark.parametrize("line", ["STOP", "stop", " Stop ", "/stop", "/STOP wrong host"])
async def test_stop(prompts: Path, line: str) -> None:
    desk, shown = desk_of(prompts)
    await submit(desk, line)
    control = await desk.opened.control.read()
    assert (control.state, control.epoch) == (RoomState.STOPPED, 1)
    [order] = await _posted(desk)
    assert (order.kind, order.data["action"], order.sender) == (Kind.CONTROL, "stop", "User")
    assert shown.questions == []
    await asyncio.sleep(0)
    assert shown.lines == [], "nobody is in the room, nobody is missed"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("STOP @QA", "STOP @QA"),
        ("stop @qa_alias", "STOP @QA"),
        ("/stop @QA wrong host", "STOP @QA: wrong host"),
    ],
)
async def test_one_role_is_stopped(prompts: Path, line: str, said: str) -> None:
    desk, _ = desk_of(prompts)
    await submit(desk, "@QA check and @Coder write")
    await submit(desk, line)
    assert await desk.opened.inbox("QA", "q").claim() is None
    assert await desk.opened.inbox("Coder", "c").claim()
    assert (await desk.opened.control.read()).epoch == 0
    order = (await _posted(desk))[-1]
    assert (order.content, order.data) == (said, {"action": "stop", "role": "QA"})


async def test_stopping_nobody_s_role_stops_nobody(prompts: Path) -> None:
    desk, _ = desk_of(prompts)
    with pytest.raises(BadInput, match="nearest: @Coder"):
        await submit(desk, "STOP @Codr")
    assert await _posted(desk) == []


async def test_those_who_send_no_receipt_are_named(prompts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "RECEIPT_SECONDS", 0.3)
    desk, shown = desk_of(prompts)
    for role in ("Coder", "QA"):
        await desk.opened.presence.beat(Presence(role, f"{role}-1", "here", "idle"))
    for answering in (("Coder-1",), ("Coder-1", "QA-1")):
        shown.lines.clear()
        await submit(desk, "STOP")
        order = (await _posted(desk))[-1]
        for worker in answering:
            receipt = Message(
                worker.partition("-")[0],
                "stopped",
                Kind.CONTROL,
                reply_to=order.id,
                data={"receipt": {"consumer": worker}},
            )
            await desk.opened.room.post(receipt)
        await asyncio.sleep(0.5)
        assert ("QA (QA-1)" in shown.text) == (len(answering) == 1)
        assert "Coder" not in shown.text


async def test_pause_and_resume(prompts: Path) -> None:
    desk, _ = desk_of(prompts)
    with pytest.raises(BadInput, match="isn't paused"):
        await submit(desk, "/resume")
    await submit(desk, "do it")
    await submit(desk, "/pause lunch")
    control = await desk.opened.control.read()
    assert (control.state, control.reason) == (RoomState.PAUSED, "PAUSE: lunch")
    await submit(desk, "/resume")
    assert (await desk.opened.control.read()).state is RoomState.RUNNING
    assert [message.data.get("action") for message in await _posted(desk)] == [None, "pause", "resume"]


@pytest.mark.parametrize("line", ["CLEAR", "/clear"])
async def test_clear_asks_first(prompts: Path, line: str) -> None:
    desk, shown = desk_of(prompts, answer=False)
    await submit(desk, "a mission")
    await submit(desk, line)
    assert (await desk.opened.mission.read()).requests
    assert "nothing was cleared" in shown.text
    shown.answer = True
    await submit(desk, line)
    assert not (await desk.opened.mission.read()).requests
    assert len(shown.questions) == 2
    assert (await _posted(desk))[-1].data["action"] == "clear"


@pytest.mark.parametrize("line", ["exit", "quit", "EXIT", "/exit"])
async def test_exit(prompts: Path, line: str) -> None:
    desk, _ = desk_of(prompts)
    await submit(desk, line)
    assert desk.leaving
    assert await _posted(desk) == []


@pytest.mark.parametrize(
    ("line", "hint"), [("/chekcs", "nearest: /checks"), ("/wo", "nearest: /who"), ("/zzzzz", "/help lists them")]
)
async def test_an_unknown_command_names_the_nearest(prompts: Path, line: str, hint: str) -> None:
    desk, _ = desk_of(prompts)
    with pytest.raises(BadInput, match=hint):
        await submit(desk, line)
    assert await _posted(desk) == []


async def test_an_oversized_message_is_refused(prompts: Path) -> None:
    desk, _ = desk_of(prompts)
    with pytest.raises(MessageTooLarge, match="262,144"):
        await submit(desk, "x" * (256 * 1024 + 1))
    await submit(desk, "x" * 1000)
    assert len(await _posted(desk)) == 1


async def test_mission_shows_the_words_as_they_were_said(prompts: Path) -> None:
    desk, shown = desk_of(prompts)
    await submit(desk, "/mission")
    assert "no mission" in shown.lines.pop()
    await submit(desk, "Publish  it\non 8089")
    await submit(desk, "/mission")
    assert "  Publish  it\n  on 8089" in shown.lines[-1]
    assert "no checks yet" in shown.lines[-1]


async def test_checks_and_waive(prompts: Path) -> None:
    desk, shown = desk_of(prompts)
    await submit(desk, "a mission")
    check = (await desk.opened.mission.propose([PROBE])).checks[0].id
    await submit(desk, "/checks")
    assert shown.lines[-1].startswith(f"[{check}] unknown port is open (tcp)")
    await submit(desk, f"/waive [{check}] only a lab")
    assert "waived" in shown.lines[-1]
    assert "only a lab" in shown.lines[-1]
    assert (await desk.opened.mission.read()).checks[0].waived == "only a lab"
    said = (await _posted(desk))[-1]
    assert (said.kind, said.data["check"]) == (Kind.CONTROL, check)


@pytest.mark.parametrize("line", ["/waive", "/waive c123456", "/waive nope because"])
async def test_waive_needs_a_known_check_and_a_reason(prompts: Path, line: str) -> None:
    desk, _ = desk_of(prompts)
    await submit(desk, "a mission")
    await desk.opened.mission.propose([PROBE])
    with pytest.raises(BadInput):
        await submit(desk, line)
    assert (await desk.opened.mission.read()).checks[0].waived is None


async def test_who_and_apps(prompts: Path) -> None:
    desk, shown = desk_of(prompts)
    await submit(desk, "/who")
    await submit(desk, "/apps")
    assert shown.lines == ["── no agent is in the room", "── nothing is hosted"]
    await desk.opened.presence.beat(Presence("QA", "QA-1", "box", "run_checks", 3))
    await desk.opened.presence.host(HostedApp("page", 8089, "folder", "DevOps", 4e9))
    await submit(desk, "/who")
    await submit(desk, "/apps")
    assert "run_checks" in shown.lines[-2]
    assert "step 3" in shown.lines[-2]
    assert "http://127.0.0.1:8089/" in shown.lines[-1]


@pytest.mark.parametrize(
    ("line", "cap"),
    [
        ("/budget 2.00", "$2.00 now"),
        ("/budget $0.5", "$0.50 now"),
        ("/budget 500,000 tokens", "$1.00 and 500,000 tokens now"),
    ],
)
async def test_the_user_sets_the_budget_and_everybody_sees_it(prompts: Path, line: str, cap: str) -> None:
    desk, _ = desk_of(prompts)
    await submit(desk, line)
    (message,) = await _posted(desk)
    assert (message.sender, message.kind) == ("User", Kind.CONTROL)
    assert message.content.endswith(cap)


async def test_budget_alone_says_who_spent_what(prompts: Path) -> None:
    desk, shown = desk_of(prompts)
    governor, ask = desk.opened.governor(), Ask("one", "Coder", 10, 1)
    await governor.reserve(ask)
    await governor.settle(ask, Spent(1, 1200, 0, 5, 2_000_000))
    await submit(desk, "/budget")
    assert "- Coder: 1 model calls, 1,200 tokens in (0 cached), 5 out, $0.002" in shown.text
    assert await _posted(desk) == []


@pytest.mark.parametrize("args", ["0", "-1", "lots", "1.5 tokens", "2 euros", "nan", "9" * 40, "1e3", "٣"])
async def test_what_is_no_budget_changes_nothing(prompts: Path, args: str) -> None:
    desk, _ = desk_of(prompts)
    with pytest.raises(BadInput, match=r"is no budget: /budget 2\.00"):
        await submit(desk, f"/budget {args}")
    assert (await desk.opened.governor().spent()).cap == "$1.00"
    assert await _posted(desk) == []


async def test_help_names_every_command(prompts: Path) -> None:
    desk, shown = desk_of(prompts)
    await submit(desk, "/help")
    assert shown.lines == [help_text().plain]
    for row in COMMANDS:
        assert f"/{row.name}" in shown.text
        assert row.help in shown.text
