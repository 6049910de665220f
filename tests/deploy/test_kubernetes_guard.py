"""What the manifests promise an administrator: no rights, no secret but one's own, no way but the meant ones."""

import copy
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.domain.role import ROLES
from tests.conftest import REPOSITORY
from tests.deploy.cluster import VARIANTS, Cluster, Pod, render, selects, sources

pytestmark = pytest.mark.real

ON_HOSTS = ("DevOps", "QA", "Observer")
# what an agent writes to; all else of its image is read-only
WRITTEN = {"/app/generated_iac", "/app/docs", "/app/tmp", "/app/.minilab", "/app/.minilab/ledger", "/tmp"}
PUBLIC = ("configMap", "minilab-public-keys", "public.json", "/run/secrets/signing/public.json")
PROMPTS = ("configMap", "minilab-prompts", "*", "/app/prompts")
AUTHORITY = ("configMap", "minilab-redis-ca", "*", "/run/redis-ca")


@pytest.fixture(params=VARIANTS)
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """Each variant, rendered."""
    return render(request.param)


def test_no_pod_has_a_right_it_does_not_need(cluster: Cluster) -> None:
    for pod in cluster.pods():
        assert pod.spec["automountServiceAccountToken"] is False
        assert pod.spec["enableServiceLinks"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & set(pod.spec)
        context = pod.spec["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] == context["runAsGroup"] == (999 if pod.name == "redis-broker" else 1000)
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not any("hostPath" in volume for volume in pod.spec["volumes"])
        for container in pod.containers:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "privileged": False,
                "capabilities": {"drop": ["ALL"]},
            }
    assert all(account["automountServiceAccountToken"] is False for account in cluster.all("ServiceAccount"))
    assert {thing["kind"] for thing in cluster.objects} & {"Role", "ClusterRole", "RoleBinding", "Secret"} == set()


def test_no_container_is_without_bounds(cluster: Cluster) -> None:
    for pod in cluster.pods():
        for container in pod.containers:
            for bounds in ("requests", "limits"):
                assert set(container["resources"][bounds]) == {"cpu", "memory", "ephemeral-storage"}
        assert all(volume["emptyDir"].get("sizeLimit") for volume in pod.spec["volumes"] if "emptyDir" in volume)


def test_each_is_given_its_own_secrets_and_nobody_elses(cluster: Cluster) -> None:
    for pod in cluster.pods():
        given = {source for source in sources(pod) if source[3] != "/app/policy.yaml"}
        assert given - {AUTHORITY} == allowed(pod)
        for volume in pod.spec["volumes"]:
            if files := volume.get("projected") or volume.get("secret"):
                assert files["defaultMode"] == 0o440, "a key that everybody may read is refused"


def allowed(pod: Pod) -> set[tuple[str, str, str, str]]:
    """All that may be mounted into a pod: (kind, name, key, path)."""
    if pod.name in ("rehearsal", "model-gateway"):
        return set()
    if pod.name == "redis-broker":
        return {("secret", "minilab-redis-users", "users.acl", "/run/secrets/users.acl")}
    if pod.name == "exporter":
        return {("secret", "minilab-observer", "redis-password", "/run/secrets/redis_password")}
    name = pod.role or "User"
    own = f"minilab-{name.lower()}"
    found = {
        PUBLIC,
        PROMPTS,
        ("secret", own, "signing.key", f"/run/secrets/signing/{name}.key"),
        ("secret", own, "redis-password", "/run/secrets/redis_password"),
    }
    if name != "User":
        found.add(("secret", "minilab-model", "openai_api_key", "/run/secrets/openai_api_key"))
    if name in ON_HOSTS:
        found.add(("secret", "minilab-ssh", "*", "/run/secrets/ssh"))
        found.add(("configMap", "minilab-known-hosts", "*", "/app/.minilab/hosts"))
    if name == "DevOps":
        found.add(("secret", "minilab-infrastructure", "infrastructure.env", "/run/secrets/infrastructure.env"))
        found.add(("secret", "minilab-kubeconfig", "kubeconfig", "/run/secrets/kubeconfig"))
    return found


def test_a_model_key_is_needed_but_for_the_demo(cluster: Cluster) -> None:
    demo = cluster.one("ConfigMap", "minilab-settings")["data"]["REHEARSAL"] == "true"
    for role in ROLES:
        parts = cluster.pod(f"agent-{role.lower()}").spec["volumes"][0]["projected"]["sources"]
        optional = {
            part["secret"]["name"]: part["secret"].get("optional", False) for part in parts if "secret" in part
        }
        assert optional["minilab-model"] is demo
        assert optional[f"minilab-{role.lower()}"] is False


def test_only_what_must_be_written_can_be(cluster: Cluster) -> None:
    for pod in cluster.pods():
        mounts = pod.spec["containers"][0]["volumeMounts"]
        written = {mount["mountPath"] for mount in mounts if not mount.get("readOnly")}
        if pod.role:
            assert written == WRITTEN
            ledger = next(mount for mount in mounts if mount["mountPath"] == "/app/.minilab/ledger")
            assert (ledger["name"], ledger["subPathExpr"]) == ("audit", "$(POD_NAME)")
        elif pod.name == "user-console":
            assert written == {"/app/client/logs", "/app/.minilab", "/tmp"}
        else:
            assert written == ({"/data", "/tmp"} if pod.name == "redis-broker" else {"/tmp"})


def test_everything_that_runs_is_probed(cluster: Cluster) -> None:
    for pod in cluster.pods():
        [container] = pod.spec["containers"]
        probes = {name for name in container if name.endswith("Probe")}
        assert probes == (
            set() if pod.name == "user-console" else {"startupProbe", "readinessProbe", "livenessProbe"}
        )
        if pod.role:
            assert container["startupProbe"]["exec"] == container["readinessProbe"]["exec"]
            assert "healthcheck.py" in container["readinessProbe"]["exec"]["command"][2]
            assert "healthcheck" not in str(container["livenessProbe"]), "an outage of Redis would restart the team"
    assert (REPOSITORY / "agents" / "healthcheck.py").is_file()


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that does nothing."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def test_a_process_that_is_stopped_is_not_alive(sleeper: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    command = render("base").pod("agent-coder").spec["containers"][0]["livenessProbe"]["exec"]["command"]
    children = tmp_path / "children"
    children.write_text(f"{sleeper.pid} 99999 ")
    script = command[2].replace("/proc/1/task/1/children", str(children))
    assert str(children) in script

    def alive() -> bool:
        return subprocess.run([*command[:2], script], capture_output=True, check=False).returncode == 0

    assert alive()
    sleeper.send_signal(signal.SIGSTOP)
    until = time.monotonic() + 10
    while alive() and time.monotonic() < until:
        time.sleep(0.02)
    assert not alive()
    children.unlink()
    assert alive(), "a kernel that doesn't tell must not restart the team"


def test_every_policy_takes_somebody_and_names_somebody(cluster: Cluster) -> None:
    pods = cluster.pods()
    for policy in cluster.all("NetworkPolicy"):
        spec = policy["spec"]
        assert any(selects(spec["podSelector"], pod.labels) for pod in pods)
        for rule in [*spec.get("egress", ()), *spec.get("ingress", ())]:
            for peer in [*rule.get("to", ()), *rule.get("from", ())]:
                if "podSelector" in peer and "namespaceSelector" not in peer:
                    assert any(selects(peer["podSelector"], pod.labels) for pod in pods), policy["metadata"]["name"]
    deny = cluster.one("NetworkPolicy", "default-deny")["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_who_reaches_whom_inside() -> None:
    cluster = render("demo")
    ways = {("redis-broker", 6379), ("model-gateway", 8888), ("rehearsal", 8090), ("exporter", 9464)}
    agents = {f"agent-{role.lower()}" for role in ROLES}
    reached = {
        (source.name, target.name)
        for source in cluster.pods()
        for target in cluster.pods()
        for port in {port for _, port in ways}
        if source.name != target.name and cluster.may_connect(source, target, port)
    }
    room = {(name, "redis-broker") for name in (*agents, "user-console", "exporter")}
    models = {(name, target) for name in agents for target in ("model-gateway", "rehearsal")}
    assert reached == room | models


@pytest.mark.parametrize("variant", ["single-node", "ha", "demo"])
def test_who_reaches_what_outside(variant: str) -> None:
    cluster = render(variant)
    places = {"host": ("192.0.2.7", 22), "web": ("93.184.215.14", 443), "plain web": ("93.184.215.14", 80)}
    places |= {
        "neighbour": ("10.1.2.3", 22),
        "metadata": ("169.254.169.254", 80),
        "public ssh": ("93.184.215.14", 22),
    }
    reached = {
        pod.name: {name for name, place in places.items() if cluster.may_leave(pod, *place)} for pod in cluster.pods()
    }
    assert {name: ways for name, ways in reached.items() if ways} == {
        "agent-devops": {"host", "web", "plain web"},
        "agent-qa": {"host", "web", "plain web"},
        "agent-observer": {"host"},
        "model-gateway": {"web"},
    }


def test_the_room_outside_is_reached_by_who_belongs_in_it() -> None:
    cluster = render("ha")
    reached = {pod.name for pod in cluster.pods() if cluster.may_leave(pod, "198.51.100.9", 6379)}
    assert reached == {pod.name for pod in cluster.pods()} - {"model-gateway"}


FAULTS: list[tuple[Callable[[Cluster], None], tuple[str | int, ...], object]] = [
    (test_no_pod_has_a_right_it_does_not_need, ("containers", 0, "securityContext", "privileged"), True),
    (test_no_pod_has_a_right_it_does_not_need, ("containers", 0, "securityContext", "capabilities"), {}),
    (test_no_pod_has_a_right_it_does_not_need, ("initContainers", 0, "securityContext"), {}),
    (test_no_pod_has_a_right_it_does_not_need, ("securityContext", "runAsUser"), 0),
    (test_no_pod_has_a_right_it_does_not_need, ("securityContext", "seccompProfile"), {"type": "Unconfined"}),
    (test_no_pod_has_a_right_it_does_not_need, ("automountServiceAccountToken",), True),
    (test_no_pod_has_a_right_it_does_not_need, ("hostNetwork",), True),
    (test_no_container_is_without_bounds, ("containers", 0, "resources", "limits"), {"cpu": "1"}),
    (test_each_is_given_its_own_secrets_and_nobody_elses, ("volumes", 0, "projected", "defaultMode"), 0o444),
    (
        test_each_is_given_its_own_secrets_and_nobody_elses,
        ("volumes", 0, "projected", "sources", 0, "secret", "name"),
        "minilab-devops",
    ),
    (test_only_what_must_be_written_can_be, ("containers", 0, "volumeMounts", 0, "readOnly"), False),
    (test_everything_that_runs_is_probed, ("containers", 0, "livenessProbe", "exec"), {"command": ["healthcheck"]}),
]


@pytest.mark.parametrize(("guard", "path", "value"), FAULTS)
def test_a_fault_is_seen(guard: Callable[[Cluster], None], path: tuple[str | int, ...], value: object) -> None:
    broken = Cluster(copy.deepcopy(render("single-node").objects))
    guard(broken)
    place: Any = broken.one("Deployment", "agent-coder")["spec"]["template"]["spec"]
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(AssertionError):
        guard(broken)


def test_the_model_of_the_policies_can_say_no_and_yes() -> None:
    cluster = render("single-node")
    console, redis = cluster.pod("user-console"), cluster.pod("redis-broker")
    assert cluster.may_connect(console, redis, 6379)
    assert not cluster.may_connect(console, redis, 6380)
    assert not cluster.may_connect(redis, console, 6379)
    open_house = Cluster([thing for thing in cluster.objects if thing["kind"] != "NetworkPolicy"])
    assert open_house.may_connect(redis, console, 1)
    assert open_house.may_leave(redis, "169.254.169.254", 80)
