"""Which kubectl command lines are run, and as what."""

import pytest

from agents.domain.errors import InvalidArguments, Refused
from agents.executors.kubectl_arguments import checked


@pytest.mark.parametrize(
    ("args", "argv"),
    [
        ("get pods", "get pods"),
        ("get pods -A -o wide", "get pods --all-namespaces --output=wide"),
        ("get pods -nweb -oyaml", "get pods --namespace=web --output=yaml"),
        ("-n web get pods", "--namespace=web get pods"),
        ("get pods -o jsonpath={.items[*].metadata.name}", "get pods --output=jsonpath={.items[*].metadata.name}"),
        ("get secrets", "get secrets"),
        ("get secrets -o name", "get secrets --output=name"),
        ("describe secret db", "describe secret db"),
        ("logs web-1 --tail 20 --previous", "logs web-1 --tail=20 --previous"),
        ("auth can-i get pods", "auth can-i get pods"),
        ("delete pod web-1 --wait=false", "delete pod web-1 --wait=false"),
        ("scale deploy/web --replicas=0", "scale deploy/web --replicas=0"),
        ("drain node1 --ignore-daemonsets", "drain node1 --ignore-daemonsets"),
        ("apply -f config/app.yaml --dry-run=server", "apply --filename=- --dry-run=server"),
        ("create configmap a --from-literal=k=v", "create configmap a --from-literal=k=v"),
        ("run one --image=busybox -- sleep 5", "run one --image=busybox -- sleep 5"),
        ("version --client -o json", "version --client --output=json"),
        ("set image deploy/web web=nginx:1.29", "set image deploy/web web=nginx:1.29"),
    ],
)
def test_what_is_run(args: str, argv: str) -> None:
    assert " ".join(checked(args.split()).argv) == argv


def test_manifests_are_given_on_standard_input() -> None:
    line = checked(["apply", "-f", "config/a.yaml,config/b.yaml", "--filename=infra/k8s"])
    assert line.manifests == ("config/a.yaml", "config/b.yaml", "infra/k8s")
    assert line.argv == ("apply", "--filename=-")


@pytest.mark.parametrize(
    "args",
    [
        "exec web-1 -- sh",
        "exec -it web-1 sh",
        "attach web-1",
        "debug node/n1",
        "cp web-1:/x /y",
        "port-forward web 80",
        "proxy",
        "edit deploy/web",
        "config view --raw",
        "config use-context prod",
        "plugin list",
        "kustomize .",
        "certificate approve x",
        "completion bash",
        "ctx prod",
        "krew install x",
        "alpha events",
        "../../bin/sh",
        "auth reconcile -f x",
        "auth",
        "cluster-info dump",
        "create token admin",
        "create secret generic x",
        "get pods --kubeconfig=/root/.kube/config",
        "get pods --kubeconfig /x",
        "--token=x get pods",
        "get pods --server=https://10.0.0.1",
        "get pods -s https://10.0.0.1",
        "-shttps://10.0.0.1 get pods",
        "get pods --as=admin",
        "get pods --as-group=system:masters",
        "get pods --context=prod",
        "--cluster=x get pods",
        "get pods --user=admin",
        "get pods --username=a",
        "get pods --client-key=/x",
        "get pods --client-certificate=/x",
        "get pods --certificate-authority=/x",
        "get pods --insecure-skip-tls-verify",
        "get pods --tls-server-name=x",
        "get pods --cache-dir=/x",
        "get pods -v=9",
        "get pods --v=9",
        "get pods --profile-output=/x",
        "get --raw /api",
        "get pods -w",
        "get pods --watch",
        "get pods -Aw",
        "logs web-1 -f",
        "logs -f web-1",
        "logs web-1 --follow",
        "get pods -o jsonpath-file=/etc/passwd",
        "get pods -o go-template-file=/etc/passwd",
        "get pods -o templatefile",
        "get pods -ocustom-columns-file=/x",
        "get pods --template=x --output=templatefile",
        "get pods -o nonsense",
        "get secrets -o yaml",
        "get secret db -ojson",
        "get pods,secrets -o yaml",
        "get secret/db -o jsonpath={.data}",
        "get SECRETS -o yaml",
        "get secrets.v1. -o yaml",
        "get -o yaml secrets",
        "get secrets --output=go-template=x",
        "apply -k config",
        "apply --kustomize=config",
        "apply -f https://x.example/a.yaml",
        "apply -f -",
        "apply -f config/a.yaml,-",
        "apply --filename=",
        "create configmap a --from-file=/etc/passwd",
        "create configmap a --from-env-file=/x",
        "patch pod a --patch-file=/x",
        "run a --image=b -it",
        "run a -i",
        "get pods -- x",
        "delete pods --all -Rf x",
        "create -f x --edit",
        "get pods --no-headers=maybe",
    ],
)
def test_what_is_refused(args: str) -> None:
    with pytest.raises(Refused):
        checked(args.split())


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["kubectl", "get", "pods"],
        ["get", ""],
        ["get", "a\0b"],
        ["get"] * 101,
        ["get", "x" * 20_001],
        ["-A"],
        ["get", "pods", "-n"],
    ],
)
def test_what_makes_no_sense(args: list[str]) -> None:
    with pytest.raises(InvalidArguments):
        checked(args)
