"""The manifests render, and are what the Kubernetes API takes: oldest and newest version, no unknown field."""

import copy
import json
from collections.abc import Mapping
from typing import Any

import kubernetes_validate
import pytest

from agents import exporter
from agents.domain.role import ROLES
from agents.runtime.prompts import PromptLibrary
from agents.settings import Settings
from agents.telemetry.metrics import families
from agents.worker import chosen
from rehearsal.__main__ import _parser as rehearsal_options
from tests.conftest import REPOSITORY
from tests.deploy.cluster import VARIANTS, Cluster, Object, Pod, render, selects
from tests.telemetry.test_metrics import READING

pytestmark = pytest.mark.real
OLDEST, NEWEST = "1.29", "1.37"
OTHERS = {
    "MINILAB_ROLE",
    "POD_NAME",
    "TERM",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
}  # variables that are no settings


@pytest.fixture(params=VARIANTS)
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """Each variant, rendered."""
    return render(request.param)


def validate(thing: Object, version: str) -> None:
    """Raise ValidationError for what the API of that version doesn't know."""
    kubernetes_validate.validate(dict(thing), version, strict=True)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_object_is_one_of_the_api(version: str) -> None:
    distinct = {json.dumps(thing, sort_keys=True) for name in VARIANTS for thing in render(name).objects}
    assert len(distinct) > 60
    for text in distinct:
        validate(json.loads(text), version)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "template", "spec", "containers", 0, "redinessProbe"), {}),
        (("spec", "template", "spec", "securityContext", "runAsUser"), "root"),
        (("spec", "replicas"), "two"),
        (
            ("spec", "template", "spec", "volumes", 0, "projected", "sources", 0, "secret", "items"),
            {"signing.key": "x"},
        ),
    ],
)
def test_a_broken_one_is_refused(version: str, path: tuple[str | int, ...], value: object) -> None:
    broken: Any = copy.deepcopy(render("base").one("Deployment", "agent-coder"))
    place = broken
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(broken, version)


def test_names_are_unique_and_no_namespace_is_named(cluster: Cluster) -> None:
    names = [(thing["kind"], thing["metadata"]["name"]) for thing in cluster.objects]
    assert len(set(names)) == len(names)
    assert {thing["metadata"].get("namespace") for thing in cluster.objects} == {None}
    unlabelled = {n for k, n in names if k != "ConfigMap"} - {
        thing["metadata"]["name"] for thing in cluster.objects if "app.kubernetes.io/part-of" in labels_of(thing)
    }
    assert unlabelled == set()


def labels_of(thing: Object) -> Mapping[str, str]:
    """An object's labels."""
    labels: Mapping[str, str] = thing["metadata"].get("labels", {})
    return labels


def test_every_role_has_a_deployment_that_starts_it(cluster: Cluster) -> None:
    agents = {pod.role: pod for pod in cluster.pods() if pod.role}
    assert set(agents) == set(ROLES)
    for role, pod in agents.items():
        assert pod.name == f"agent-{role.lower()}"
        assert chosen(role) == (role,)
        [agent] = pod.spec["containers"]
        assert agent["args"] == ["python", "-m", "agents", "$(MINILAB_ROLE)"]
        assert environment(agent)["MINILAB_ROLE"] == {"fieldRef": {"fieldPath": "metadata.labels['minilab/role']"}}
        assert environment(agent)["REDIS_USERNAME"] == "$(MINILAB_ROLE)"
        assert pod.spec["terminationGracePeriodSeconds"] >= 15


def environment(container: Mapping[str, Any]) -> dict[str, Any]:
    """A container's own variables, without those of the ConfigMap."""
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container.get("env", ())}


def test_what_is_started_takes_its_options() -> None:
    pods = {pod.name: pod.spec["containers"][0]["args"] for pod in render("demo").pods()}
    options = rehearsal_options().parse_args(pods["rehearsal"][3:])
    assert (options.host, options.port) == ("0.0.0.0", 8090)
    assert pods["exporter"] == ["python", "-m", "agents.exporter", "--host", "0.0.0.0", "--port", str(exporter.PORT)]
    assert pods["user-console"] == ["python", "-m", "client.cli", "console"]
    assert pods["model-gateway"] == ["model-gateway", "$(OPENAI_API_BASE)"]
    assert (REPOSITORY / "deploy/docker/model-gateway").is_file()


def test_settings_are_settings_and_make_sense(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    data = cluster.one("ConfigMap", "minilab-settings")["data"]
    own = {name for pod in cluster.pods() for container in pod.containers for name in environment(container)}
    assert {name for name in {*data, *own} - OTHERS if name.lower() not in Settings.model_fields} == set()
    for name, value in data.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("REDIS_USERNAME", "DevOps")
    settings = Settings(_env_file=None)
    assert settings.checks_by == "DevOps"
    assert settings.sandbox == "container"
    assert settings.room_url
    assert "://DevOps:@" in settings.room_url


def test_a_redis_outside_is_asked_by_tls_with_an_authority_that_is_mounted() -> None:
    cluster = render("ha")
    url = cluster.one("ConfigMap", "minilab-settings")["data"]["REDIS_URL"]
    assert url.startswith("rediss")
    assert url.endswith("?ssl_ca_certs=/run/redis-ca/ca.crt")
    users = {pod.name for pod in cluster.pods() if "redis-password" in str(pod.spec["volumes"])}
    mounts = {pod.name for pod in cluster.pods() if "'mountPath': '/run/redis-ca'" in str(pod.spec["containers"])}
    assert users == mounts == {pod.name for pod in cluster.pods()} - {"model-gateway"}


def test_the_demo_asks_its_own_model() -> None:
    data = render("demo").one("ConfigMap", "minilab-settings")["data"]
    assert (data["REHEARSAL"], data["OPENAI_API_BASE"]) == ("true", "http://rehearsal:8090/v1")
    assert render("single-node").one("ConfigMap", "minilab-settings")["data"]["REHEARSAL"] == "false"


def test_one_version_of_each_image_runs(cluster: Cluster) -> None:
    images = {container["image"] for pod in cluster.pods() for container in pod.containers}
    names = [image.rpartition(":")[0] for image in images]
    assert all(image.rpartition(":")[2] for image in images)
    assert len(names) == len(set(names))
    assert {name.rpartition("/")[2] for name in names} <= {"minilab", "redis"}


def test_the_prompts_are_all_there_and_are_the_repositorys(cluster: Cluster) -> None:
    data = cluster.one("ConfigMap", "minilab-prompts")["data"]
    folder = REPOSITORY / "prompts"
    assert data == {file.name: file.read_text(encoding="utf-8") for file in folder.glob("*.md")}
    assert {f"{role}.md" for role in ROLES} < set(data)
    assert cluster.names("ConfigMap") >= {"minilab-prompts"}, (
        "a hash in its name would restart agents for a new prompt"
    )


def test_the_kustomization_among_the_prompts_is_no_role() -> None:
    library = PromptLibrary(REPOSITORY / "prompts", pytest.fail)
    assert len({library.role(name).sha for name in ROLES}) == len(ROLES)
    assert library.roster()


def test_an_own_policy_lies_where_agents_read_it() -> None:
    cluster = render("single-node, own policy")
    data = cluster.one("ConfigMap", "minilab-policy")["data"]
    assert data == {"policy.yaml": (REPOSITORY / "policy.yaml").read_text()}
    for pod in cluster.pods():
        mounts = {mount["mountPath"]: mount for mount in pod.spec["containers"][0]["volumeMounts"]}
        assert (mounts.get("/app/policy.yaml", {}).get("subPath") == "policy.yaml") == bool(pod.role)


def test_whatever_is_referred_to_is_there_or_made_by_hand(cluster: Cluster) -> None:
    by_hand = {"minilab-public-keys", "minilab-known-hosts", "minilab-redis-ca"}
    for pod in cluster.pods():
        assert pod.spec["serviceAccountName"] in cluster.names("ServiceAccount")
        for volume in pod.spec["volumes"]:
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in cluster.names("PersistentVolumeClaim")
            if "configMap" in volume:
                assert volume["configMap"]["name"] in cluster.names("ConfigMap") | by_hand
        used = {mount["name"] for container in pod.containers for mount in container.get("volumeMounts", ())}
        claims = {"data"} if pod.name == "redis-broker" else set()
        assert used == {volume["name"] for volume in pod.spec["volumes"]} | claims
        for container in pod.containers:
            for source in container.get("envFrom", ()):
                assert source["configMapRef"]["name"] in cluster.names("ConfigMap")


def test_selectors_take_the_pods_they_are_meant_for_and_no_other(cluster: Cluster) -> None:
    pods = cluster.pods()
    for thing in cluster.objects:
        name, spec = thing["metadata"]["name"], thing.get("spec", {})
        if thing["kind"] in ("Deployment", "StatefulSet", "PodDisruptionBudget"):
            assert [pod.name for pod in pods if selects(spec["selector"], pod.labels)] == [name]
        if thing["kind"] == "Service":
            [pod] = [pod for pod in pods if selects({"matchLabels": spec["selector"]}, pod.labels)]
            assert {port["targetPort"] for port in spec["ports"]} <= ports(pod)
    for pod in pods:
        spread = pod.spec.get("topologySpreadConstraints", [])
        terms = pod.spec.get("affinity", {}).get("podAntiAffinity", {})
        apart = terms.get("preferredDuringSchedulingIgnoredDuringExecution", [])
        for selector in [
            *(c["labelSelector"] for c in spread),
            *(t["podAffinityTerm"]["labelSelector"] for t in apart),
        ]:
            assert [other.name for other in pods if selects(selector, other.labels)] == [pod.name]
        assert bool(spread) == bool(pod.role)


def ports(pod: Pod) -> set[str]:
    """The names of a pod's ports."""
    return {port["name"] for container in pod.containers for port in container.get("ports", ())}


def test_scaling_is_by_a_metric_that_the_exporter_has() -> None:
    cluster = render("ha")
    known = {sample.name: sample.labels for family in families("lab", READING) for sample in family.samples}
    scaled = {thing["metadata"]["name"]: thing["spec"] for thing in cluster.all("HorizontalPodAutoscaler")}
    assert set(scaled) == {"agent-coder", "agent-security", "agent-qa"}
    for name, spec in scaled.items():
        target = cluster.one("Deployment", spec["scaleTargetRef"]["name"])
        assert target["metadata"]["name"] == name
        assert "replicas" not in target["spec"], "an apply would set back what the autoscaler decided"
        assert 2 <= spec["minReplicas"] < spec["maxReplicas"]
        [metric] = spec["metrics"]
        selector = metric["external"]["metric"]["selector"]["matchLabels"]
        assert set(selector) <= set(known[metric["external"]["metric"]["name"]])
        assert selects({"matchLabels": {"minilab/role": selector["role"]}}, cluster.pod(name).labels)
        assert cluster.one("PodDisruptionBudget", name)["spec"]["minAvailable"] == 1


def test_several_nodes_share_what_several_pods_write_to() -> None:
    ha, single = render("ha"), render("single-node")
    modes = {c["metadata"]["name"]: c["spec"]["accessModes"] for c in ha.all("PersistentVolumeClaim")}
    assert modes == {"workspace": ["ReadWriteMany"], "audit": ["ReadWriteMany"], "devops-state": ["ReadWriteOnce"]}
    assert {tuple(c["spec"]["accessModes"]) for c in single.all("PersistentVolumeClaim")} == {("ReadWriteOnce",)}
    for cluster in (ha, single):
        devops = cluster.one("Deployment", "agent-devops")["spec"]
        assert (devops["replicas"], devops["strategy"]) == (1, {"type": "Recreate"})


def test_nothing_keeps_a_node_from_being_drained(cluster: Cluster) -> None:
    counts = {thing["metadata"]["name"]: thing["spec"].get("replicas") for thing in cluster.all("Deployment")}
    for budget in cluster.all("PodDisruptionBudget"):
        name, spec = budget["metadata"]["name"], budget["spec"]
        assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        if "minAvailable" in spec:
            least = counts[name] or cluster.one("HorizontalPodAutoscaler", name)["spec"]["minReplicas"]
            assert spec["minAvailable"] < least
        else:
            assert spec["maxUnavailable"] == 1
