"""The shipped image and compose file on a real engine: built, started, used through `docker attach`, hurt, ended.

The tests share one team and are in the order in which somebody would meet them.
"""

import functools
import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import base_images
from tests.support.pty import Pty
from tests.support.stack import AGENTS, IMAGE, PROJECT, Stack, docker, remove, until

pytestmark = [pytest.mark.containers, pytest.mark.real, pytest.mark.e2e, pytest.mark.timeout(900)]
if sys.platform != "linux" or base_images.lacking():
    pytest.skip(base_images.lacking() or "an engine on Linux is needed", allow_module_level=True)

OBJECTIVE = "Publish a status page for my two-node lab on port 8089 and prove that it answers."
CANARY = "canary-infrastructure-secret-7391"
OURS = (*(f"agent-{name}" for name in AGENTS), "user-console", "model-gateway", "rehearsal")
OUTDOORS, INDOORS = ("devops", "qa", "observer"), ("architect", "coder", "security")


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The base images and what the build downloads, all local."""
    base_images.make()
    with base_images.mirror(tmp_path_factory.mktemp("mirror")) as mirror:
        yield {
            "PYTHON_IMAGE": base_images.PYTHON,
            "PYTHON_DIGEST": "",
            "REDIS_IMAGE": base_images.REDIS,
            **mirror.arguments,
        }


@pytest.fixture(scope="module")
def stack(arguments: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The team, up and healthy: `./minilab compose up --demo --build` on a fresh copy."""
    remove()
    made = Stack(tmp_path_factory.mktemp("checkout"), arguments)
    (made.home / ".env").write_text(f"PROXMOX_API_TOKEN={CANARY}\nOPENAI_API_KEY=\n")
    key = made.home / "tmp" / "bootstrap_id_rsa"
    key.write_text("a key of the lab\n")
    try:
        up = made.compose("up", "--demo", "--build", timeout=850)
        assert up.returncode == 0, f"{up.stdout[-3000:]}\n{up.stderr[-3000:]}\n{_logs(made)}"
        assert "all healthy after" in up.stderr
        yield made
    finally:
        remove()


@pytest.fixture(scope="module")
def console(stack: Stack) -> Iterator[Pty]:
    """The console, attached to as people do."""
    terminal = attach(stack)
    yield terminal
    terminal.close()


def attach(stack: Stack) -> Pty:
    argv = ["docker", "attach", "--detach-keys", "ctrl-q", "user-console"]
    return Pty(argv, stack.environment, stack.home, columns=120, rows=40)


def _logs(stack: Stack) -> str:
    return stack.compose("logs", "--tail", "30").stdout[-6000:]


# ── the image ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_download_that_is_not_what_was_published_ends_the_build(arguments: dict[str, str], stack: Stack) -> None:
    wrong = {**arguments, "KUBECTL_SHA256_AMD64": "0" * 64}
    given = [
        part for name, value in wrong.items() if name != "REDIS_IMAGE" for part in ("--build-arg", f"{name}={value}")
    ]
    built = subprocess.run(
        ["docker", "build", "--force-rm", "--target", "tools", *given, str(stack.home)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert built.returncode != 0
    assert "is not what was published" in built.stdout + built.stderr


def test_the_image_holds_the_tools_and_no_compiler_and_is_small(stack: Stack) -> None:
    wanted = "terraform kubectl ansible-playbook ssh nft git bwrap curl tini"
    lacking = stack.run(
        "agent-devops", f"for one in {wanted}; do command -v $one >/dev/null || echo $one; done"
    ).stdout
    assert lacking == ""
    assert stack.run("agent-devops", "command -v cc gcc g++ make ld").stdout == ""
    told = json.loads(docker("image", "inspect", IMAGE))[0]
    assert told["Size"] < 900e6
    assert told["Config"]["User"] == "1000:1000"
    assert told["Config"]["Labels"]["org.opencontainers.image.title"] == "MiniLab"
    history = docker("history", "--human=false", "--no-trunc", "--format", "{{.Size}} {{.CreatedBy}}", IMAGE)
    layers = history.splitlines()
    # newest first: what was laid over the system's packages
    over = [int(line.split()[0]) for line in layers[: next(n for n, line in enumerate(layers) if "apt-get" in line)]]
    assert sum(over) - _tools(stack) < 250e6


def _tools(stack: Stack) -> int:
    """Bytes of terraform and kubectl: tools, not the agent's layer."""
    said = stack.run("agent-devops", "stat -c %s /usr/local/bin/terraform /usr/local/bin/kubectl").stdout
    return sum(map(int, said.split()))


def test_an_edit_of_the_code_reuses_the_layer_of_packages(stack: Stack) -> None:
    before = docker("history", "--no-trunc", "--quiet", IMAGE).split()
    module = stack.home / "agents" / "__init__.py"
    text = module.read_text()
    module.write_text(text + "\n# edited\n")
    built = stack.compose("build", "agent-coder")
    module.write_text(text)
    assert built.returncode == 0, built.stderr[-2000:]
    steps = re.findall(r"^Step \d+/\d+ : (.*)$\n((?: --->.*\n)*)", built.stdout, re.MULTILINE)
    if steps:  # the classic builder tells step by step
        cached = {what: "Using cache" in told for what, told in steps}
        assert all(kept for what, kept in cached.items() if "pip install" in what or "apt-get" in what)
        assert not cached["COPY . /app"]
    else:
        assert "CACHED" in built.stdout + built.stderr
    assert before


# ── confinement ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_everything_that_should_run_runs(stack: Stack) -> None:
    assert sorted(stack.services()) == sorted((*OURS, "redis-broker"))
    for service in stack.services():
        state = stack.inspect(service)["State"]
        assert state["Running"], service
        assert state.get("Health", {"Status": "healthy"})["Status"] == "healthy", service


def test_every_container_is_confined(stack: Stack) -> None:
    for service in stack.services():
        host = stack.inspect(service)["HostConfig"]
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"], service
        assert not host["CapAdd"], service
        assert not host["Privileged"], service
        assert any(option.startswith("no-new-privileges") for option in host["SecurityOpt"]), service
        assert host["Memory"] > 0, service
        assert host["NanoCpus"] > 0, service
        assert 0 < host["PidsLimit"] <= 512, service
        assert host["RestartPolicy"]["Name"] == "unless-stopped", service
        assert host["LogConfig"]["Config"]["max-size"], service
        assert not host["PortBindings"], service
        assert not any("docker.sock" in bind for bind in host["Binds"] or ()), service


def test_no_container_runs_as_root(stack: Stack) -> None:
    for service in stack.services():
        assert stack.run(service, "id -u").stdout.strip() in ("1000", "999"), service
        pid = stack.inspect(service)["State"]["Pid"]
        status = Path(f"/proc/{pid}/status").read_text()
        assert "Uid:\t0\t" not in status, service
        assert "CapEff:\t0000000000000000" in status, service
        assert "NoNewPrivs:\t1" in status, service


def test_only_the_volumes_can_be_written(stack: Stack) -> None:
    for service in OURS:
        for place in ("/", "/app", "/app/agents", "/usr/bin", "/etc"):
            assert stack.run(service, f"touch {place}/probe").returncode != 0, f"{service} writes {place}"
        assert stack.run(service, "touch /tmp/probe && rm /tmp/probe").returncode == 0, service
    for name in AGENTS:
        written = stack.run(f"agent-{name}", "touch /app/docs/probe /app/tmp/probe /app/generated_iac/infra/probe")
        assert written.returncode == 0, f"{name}: {written.stderr}"
        assert stack.run(f"agent-{name}", "touch /app/prompts/probe /app/docs/manual/probe").returncode != 0, name
        assert stack.run(f"agent-{name}", "echo x >>/app/policy.yaml").returncode != 0, name


def test_no_secret_shows_in_what_the_engine_tells(stack: Stack) -> None:
    keys = stack.home / ".minilab" / "keys"
    secrets = [file.read_text().strip() for file in keys.glob("*.redis-password")]
    secrets += [line for file in keys.glob("*.key") for line in file.read_text().splitlines() if "-----" not in line]
    assert len(secrets) == 14
    told = docker("inspect", *(stack.container(service) for service in stack.services())) + docker(
        "image", "inspect", IMAGE
    )
    for secret in (*secrets, CANARY):
        assert secret not in told
    assert "CHECKS_BY=DevOps" in told  # the control: settings do show


def test_each_container_has_its_own_secrets_only(stack: Stack) -> None:
    for name in AGENTS:
        role = stack.run(f"agent-{name}", "echo $MINILAB_ROLE").stdout.strip()
        held = stack.run(f"agent-{name}", "cd /run/secrets && find . -type f | sort").stdout.split()
        expected = {"./openai_api_key", "./redis_password", "./signing/public.json", f"./signing/{role}.key"}
        expected |= {"./ssh/bootstrap_id_rsa"} if name in OUTDOORS else set()
        expected |= {"./infrastructure.env", "./kubeconfig"} if name == "devops" else set()
        assert set(held) == expected, name
        # not even by way of the folder it lies in on this machine
        assert stack.run(f"agent-{name}", "cat /app/tmp/bootstrap_id_rsa").stdout == "", name
        seen = stack.run(f"agent-{name}", f"grep -rqs {CANARY} /run/secrets /app /proc/self/environ /proc/1/environ")
        assert (seen.returncode == 0) is (name == "devops"), name
    assert stack.run("user-console", "find /run/secrets -type f | wc -l").stdout.strip() == "3"
    assert "a key of the lab" in stack.run("agent-qa", "cat /run/secrets/ssh/bootstrap_id_rsa").stdout


def test_only_those_who_work_on_hosts_reach_them(stack: Stack) -> None:
    host = docker(
        *f"run -d --rm --network {PROJECT}_managed --label com.docker.compose.project={PROJECT}".split(),
        *(IMAGE, "python3", "-m", "http.server", "8000"),
    ).strip()
    address = json.loads(docker("inspect", host))[0]["NetworkSettings"]["Networks"][f"{PROJECT}_managed"]["IPAddress"]
    direct = f"curl --noproxy '*' --silent --max-time 3 --output /dev/null http://{address}:8000/"
    try:
        answers = functools.partial(stack.run, script=direct)
        for name in OUTDOORS:
            until(f"{name} reaches the host", lambda: answers(f"agent-{name}").returncode == 0, 15)  # noqa: B023
        for name in INDOORS:
            assert stack.run(f"agent-{name}", direct).returncode != 0, name
            proxied = f"curl --silent --max-time 3 --output /dev/null -w '%{{http_code}}' http://{address}:8000/"
            assert stack.run(f"agent-{name}", proxied).stdout in ("403", "000"), name
            model = "curl --silent --max-time 3 --fail --output /dev/null http://rehearsal:8090/v1/models"
            assert stack.run(f"agent-{name}", model).returncode == 0, name
        assert stack.run("user-console", "curl --silent --max-time 3 http://rehearsal:8090/v1/models").returncode != 0
    finally:
        docker("rm", "-f", host)


def test_the_gateway_connects_to_the_model_endpoint_alone(stack: Stack) -> None:
    proxy = "--proxy http://model-gateway:8888 --noproxy ''"
    through = f"curl --silent --max-time 5 --output /dev/null -w '%{{http_code}}' {proxy}"
    assert stack.run("agent-coder", f"{through} http://rehearsal:8090/v1/models").stdout == "200"
    assert stack.run("agent-coder", f"{through} http://redis-broker:6379/").stdout == "403"
    assert stack.run("agent-coder", f"{through} http://rehearsal.example.org/").stdout == "403"


def test_redis_takes_nobody_without_a_password(stack: Stack) -> None:
    assert "NOAUTH" in stack.run("redis-broker", "redis-cli HGETALL '{agent_channel}:presence'").stdout
    assert "NOPERM" in stack.run("redis-broker", "redis-cli --user probe --pass probe KEYS '*' 2>&1").stdout
    assert "Coder" in stack.redis("HVALS '{agent_channel}:presence'")  # the control: a password opens it


# ── at work ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_demo_through_attach_survives_a_crash_and_a_restart_of_redis(stack: Stack, console: Pty) -> None:
    console.wait_for("you>", 60)
    console.type(OBJECTIVE + "\r")
    until("Coder works", lambda: stack.works("Coder"), 120)
    born = stack.inspect("agent-coder")["State"]["StartedAt"]
    stack.crash("agent-coder")
    until("Coder is back", lambda: stack.inspect("agent-coder")["State"]["StartedAt"] != born, 30)
    console.wait_for("@Security please review", 120)
    docker("restart", "--time", "5", stack.container("redis-broker"))
    console.wait_for("Your status page answers", 300)
    said = stack.redis("XRANGE '{agent_channel}:said' - +")
    assert said.count("Your status page answers on") == 1  # and "@Security please review" was said before the restart
    assert "@Security please review" in said
    assert "node-2" in stack.run("agent-devops", "curl --silent http://127.0.0.1:8089/").stdout
    assert stack.inspect("agent-coder")["RestartCount"] == 1
    assert (stack.home / "generated_iac/config/status-page/site/index.html").is_file()
    assert (stack.home / "docs/execution_log_DevOps.md").is_file()


def test_a_hosted_page_is_shown_on_this_machine_as_long_as_asked(stack: Stack) -> None:
    forward = subprocess.Popen(
        stack.argv("forward", "8089"), cwd=stack.home, env=stack.environment, stderr=subprocess.PIPE
    )
    try:
        assert forward.stderr is not None
        assert b"http://127.0.0.1:8089/" in forward.stderr.readline()
        with urllib.request.urlopen("http://127.0.0.1:8089/", timeout=20) as answer:
            assert b"node-2" in answer.read()
    finally:
        forward.terminate()
        forward.communicate(timeout=20)


def test_detaching_leaves_the_console_up_and_coming_back_shows_what_was_missed(stack: Stack, console: Pty) -> None:
    born = stack.inspect("user-console")["State"]["StartedAt"]
    console.type("\x11")  # Ctrl-Q
    console.wait_end(20)
    assert stack.inspect("user-console")["State"]["StartedAt"] == born
    said = stack.run("user-console", "echo '@Observer anything to report?' | timeout 20 minilab console", 60)
    assert "anything to report" in said.stdout, said
    again = attach(stack)
    try:
        again.wait_for("@Observer anything to report?", 30)
        again.type("\x11")
        again.wait_end(20)
    finally:
        again.close()


def test_stop_reaches_every_container(stack: Stack) -> None:
    again = attach(stack)
    try:
        again.wait_for("you>", 30)
        again.type("STOP\r")
        for role in ("Architect", "Coder", "DevOps", "Security", "QA", "Observer"):
            again.wait_for(f"{role} stopped", 30)
        born = stack.inspect("user-console")["State"]["StartedAt"]
        again.type("exit\r")
        again.wait_end(30)
        until("exit starts it anew", lambda: stack.inspect("user-console")["State"]["StartedAt"] != born, 30)
        until("and it runs", lambda: stack.inspect("user-console")["State"]["Running"], 30)
    finally:
        again.close()


def test_down_leaves_nothing_but_volumes(stack: Stack) -> None:
    down = stack.compose("down")
    assert down.returncode == 0, down.stderr
    assert stack.services() == []
    label = f"label=com.docker.compose.project={PROJECT}"
    assert docker("network", "ls", "-q", "--filter", label) == ""
    kept = docker("volume", "ls", "-q", "--filter", label).split()
    assert sorted(kept) == sorted(f"{PROJECT}_{name}" for name in (*AGENTS, "console", "redis"))
