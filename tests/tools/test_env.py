"""read_env: one name, no secret, no list."""

import pytest

from agents.domain.errors import InvalidArguments, Refused
from agents.domain.redaction import SecretMask
from agents.domain.turn import Claim, Effect
from agents.tools import env
from agents.tools.registry import Act, Output

VARIABLES = {
    "LAB_DOMAIN": "lab.example",
    "OPENAI_API_KEY": "sk-very-secret-value-000000000",
    "PLAIN_NAME": "hunter2hunter2",
    "REDIS_URL": "redis://user:opensesame@10.0.0.5:6379/0",
    "TOKEN_LIMIT": "8000",
    "EMPTY": "",
}
ACT = Act("DevOps", Claim("t", "DevOps", "c", 1, 0, ()), 1, "call", 300)
(TOOL,) = env.tools(VARIABLES, SecretMask(["hunter2hunter2"]), allowed=("TOKEN_LIMIT",))


async def ask(name: str) -> Output:
    return await TOOL.run(TOOL.args.model_validate({"name": name}), ACT)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("LAB_DOMAIN", "LAB_DOMAIN=lab.example"),
        ("EMPTY", "EMPTY="),
        ("TOKEN_LIMIT", "TOKEN_LIMIT=8000"),
        ("OPENAI_API_KEY", "OPENAI_API_KEY is set, value hidden"),
        ("PLAIN_NAME", "PLAIN_NAME is set, value hidden"),
        ("REDIS_URL", "REDIS_URL is set, value hidden"),
        ("NOT_THERE", "NOT_THERE is not set"),
        ("lab_domain", "lab_domain is not set"),
    ],
)
async def test_one_name(name: str, said: str) -> None:
    assert (await ask(name)).content == said


@pytest.mark.parametrize(
    "name", ["ALL", "all", " All ", "*", "OPENAI_*", "env", "environ", "printenv", "%", "[A-Z]", "?"]
)
async def test_there_is_no_list(name: str) -> None:
    with pytest.raises(Refused, match="never listed"):
        await ask(name)


@pytest.mark.parametrize("name", ["A,B", "A B", "A;B", "$A", "A=B", "1A", "-", "A\n", "\x1b(B"])
async def test_what_is_no_name(name: str) -> None:
    with pytest.raises(InvalidArguments, match="no variable name"):
        await ask(name)


def test_it_only_reads() -> None:
    assert TOOL.effect_of(TOOL.args.model_validate({"name": "A"})) is Effect.READ
