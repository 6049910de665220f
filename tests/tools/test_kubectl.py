"""run_kubectl: effects, and the real kubectl against an API server on loopback that answers the least there is."""

import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.domain.errors import InvalidArguments, MissingBinary, PathEscape, Refused, ToolError
from agents.domain.turn import Claim, Effect, Status
from agents.executors.kubectl import Kubectl
from agents.executors.process import Processes
from agents.tools.kubectl import RunKubectl, effect, tools
from agents.tools.registry import Act, Output, Tool
from tests.support.files import workspace

ACT = Act("DevOps", Claim("t" * 32, "DevOps", "c", 1, 0, ()), 3, "call", 60)
ANSWERS: dict[str, Any] = {
    "/version": {"major": "1", "minor": "33", "gitVersion": "v1.33.0", "gitCommit": "", "platform": "linux/amd64"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [
            {
                "name": "configmaps",
                "singularName": "configmap",
                "namespaced": True,
                "kind": "ConfigMap",
                "verbs": ["get", "list", "create", "patch"],
                "shortNames": ["cm"],
            },
        ],
    },
    "/api/v1/namespaces/default/configmaps/there": {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {"name": "there", "namespace": "default"},
        "data": {"k": "v"},
    },
}


class Api(http.server.BaseHTTPRequestHandler):
    """Answers GETs from the table and takes what is created."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
        missing["message"] = f"{path} not found"
        self._answer(200 if path in ANSWERS else 404, ANSWERS.get(path, missing))

    def do_POST(self) -> None:
        created = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.created.append(created)  # type: ignore[attr-defined]
        self._answer(201, created)

    def _answer(self, status: int, body: Any) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def api() -> Iterator[Any]:
    made: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
    made.created = []
    thread = threading.Thread(target=made.serve_forever, args=(0.02,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def kubeconfig(api: Any, tmp_path: Path) -> Path:
    path = tmp_path / "kubeconfig"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "lab",
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
        "clusters": [{"name": "lab", "cluster": {"server": f"http://127.0.0.1:{api.server_address[1]}"}}],
        "users": [{"name": "lab", "user": {}}],
    }
    path.write_text(json.dumps(config))
    return path


def kubectl(base: Path, kubeconfig: Path | None) -> Tool[RunKubectl]:
    home = base / "home"
    home.mkdir(exist_ok=True)
    (tool,) = tools(Kubectl(Processes(), workspace(base), home, kubeconfig))
    return tool


async def call(tool: Tool[RunKubectl], line: str) -> Output:
    return await tool.run(RunKubectl(args=line.split()), ACT)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("get pods -A", Effect.READ),
        ("describe node n1", Effect.READ),
        ("diff -f config/a.yaml", Effect.READ),
        ("apply -f config/a.yaml", Effect.MUTATE),
        ("scale deploy/web --replicas=2", Effect.MUTATE),
        ("rollout restart deploy/web", Effect.MUTATE),
        ("delete pod web-1", Effect.DESTROY),
        ("drain n1", Effect.DESTROY),
        ("replace --force -f config/a.yaml", Effect.DESTROY),
        ("exec web-1 -- rm -rf /", Effect.READ),  # it is refused: nothing happens
    ],
)
def test_effects(line: str, expected: Effect) -> None:
    assert effect(RunKubectl(args=line.split())) is expected


async def test_no_cluster(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="no cluster is set up: the User sets KUBECONFIG_PATH"):
        await call(kubectl(tmp_path, None), "get pods")
    with pytest.raises(ToolError, match="there is no kubeconfig"):
        await call(kubectl(tmp_path, tmp_path / "missing"), "get pods")
    with pytest.raises(Refused, match="kubectl exec is not run"):
        await call(kubectl(tmp_path, None), "exec web -- id")


@pytest.mark.real
async def test_the_real_kubectl(tmp_path: Path, kubeconfig: Path, api: Any) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    tool = kubectl(tmp_path, kubeconfig)
    version = await call(tool, "version -o json")
    assert version.status is Status.OK
    assert "v1.33.0" in version.content
    shown = await call(tool, "get configmap there -o yaml")
    assert "k: v" in shown.content
    missing = await call(tool, "get configmap missing")
    assert missing.status is Status.ERROR
    assert "not found" in missing.content

    space = workspace(tmp_path)
    space.write_text("config/k8s/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n")
    space.write_text("config/k8s/b.json", '{"apiVersion": "v1",\n\t"kind": "ConfigMap", "metadata": {"name": "two"}}')
    space.write_text("config/k8s/notes.md", "not a manifest")
    made = await call(tool, "create -f config/k8s --validate=false")
    assert made.status is Status.OK, made.content
    assert [one["metadata"]["name"] for one in api.created] == ["one", "two"]


@pytest.mark.real
async def test_manifests_come_from_the_workspace_only(tmp_path: Path, kubeconfig: Path, api: Any) -> None:
    tool = kubectl(tmp_path, kubeconfig)
    space = workspace(tmp_path)
    space.write_text("config/bad.json", "{")
    space.write_text("config/empty/readme.md", "")
    (tmp_path / "generated_iac/config/link.yaml").symlink_to("/etc/passwd")
    for line, error in (
        ("apply -f /etc/passwd", PathEscape),
        ("apply -f ../.env", PathEscape),
        ("apply -f config/link.yaml", ToolError),
        ("apply -f config/missing.yaml", ToolError),
        ("apply -f config/bad.json", InvalidArguments),
        ("apply -f config/empty", InvalidArguments),
    ):
        with pytest.raises(error):
            await call(tool, line)
    assert api.created == []


async def test_no_kubectl(tmp_path: Path, kubeconfig: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    made = Kubectl(Processes(), workspace(tmp_path), home, kubeconfig, variables={"PATH": str(home)})
    with pytest.raises(MissingBinary, match=r"kubernetes\.io"):
        await made.run(["get", "pods"], 5)


async def test_what_is_approved_is_the_manifests_content(tmp_path: Path) -> None:
    tool = kubectl(tmp_path, None)
    assert tool.material is not None
    space = workspace(tmp_path)
    space.write_text("config/web/app.yml", "kind: ConfigMap\n")
    args = RunKubectl(args=["apply", "-f", "config/web/app.yml"])
    before = await tool.material(args)
    assert before.targets == ("config/web/app.yml",)
    assert "kind: ConfigMap" in before.pages[0].text
    assert (await tool.material(args)).identity == before.identity
    space.write_text("config/web/app.yml", "kind: Secret\n")
    after = await tool.material(args)
    assert after.identity != before.identity
    assert b"Secret" in after.content
    assert (await tool.material(RunKubectl(args=["scale", "deploy/web", "--replicas", "2"]))).pages == ()
