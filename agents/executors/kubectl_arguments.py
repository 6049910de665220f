"""Which kubectl command lines agents may run: a closed list of verbs and flags. Pure.

Refused are all that chooses another cluster or identity, opens a shell, tunnel or editor, runs a plugin, watches
without end, or opens a file by itself: manifests are read through the workspace and given on standard input.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from agents.domain.errors import InvalidArguments, Refused

MAX_ARGS = 100
MAX_ARG_CHARS = 20_000
VERBS = frozenset(
    "get describe logs top events version cluster-info api-resources api-versions explain auth rollout diff wait "
    "apply create delete replace patch scale autoscale expose run set label annotate taint cordon uncordon "
    "drain".split()
)
_REFUSED = {
    "exec": "it opens a shell in a container; look with logs, describe or get",
    "attach": "it never ends; use logs",
    "debug": "it opens a shell; use describe, events and logs",
    "cp": "it moves files past the workspace",
    "port-forward": "it opens a tunnel; let run_checks probe a Service's address",
    "proxy": "it opens the whole API to this machine",
    "edit": "it opens an editor; change the manifest in config/ or infra/ and apply it",
    "config": "the cluster is chosen by the User (KUBECONFIG_PATH)",
    "plugin": "plugins are programs of any kind",
    "kustomize": "a kustomization names any file and host; write plain manifests",
    "certificate": "who may join the cluster is the User's decision",
    "completion": "there is no shell to complete in",
}
_SHORT = {
    "-n": "--namespace",
    "-o": "--output",
    "-l": "--selector",
    "-A": "--all-namespaces",
    "-f": "--filename",
    "-c": "--container",
    "-p": "--previous",
    "-L": "--label-columns",
    "-q": "--quiet",
}
_VALUED = frozenset(
    f"--{name}"
    for name in (
        "namespace output selector filename container label-columns field-selector sort-by tail since since-time "
        "limit-bytes max-log-requests request-timeout for types api-group verbs api-version subresource "
        "replicas current-replicas min max cpu-percent cpu memory image port target-port protocol name type "
        "external-ip cluster-ip load-balancer-ip session-affinity overrides override-type env labels annotations "
        "restart patch from-literal class rule default-backend schedule clusterrole role group serviceaccount "
        "verb resource resource-name hard scopes min-available max-unavailable value preemption-policy description "
        "grace-period timeout cascade dry-run validate field-manager to-revision revision limits requests "
        "containers pod-selector chunk-size template"
    ).split()
)
_PLAIN = frozenset(
    f"--{name}"
    for name in (
        "all-namespaces previous quiet show-labels no-headers ignore-not-found show-kind show-events timestamps "
        "all-containers prefix server-print client namespaced recursive list all overwrite server-side "
        "force-conflicts wait now ignore-daemonsets delete-emptydir-data force disable-eviction record expose "
        "resource-version-match save-config show-managed-fields minify flatten keep-restarts prune dry-run "
        "allow-missing-template-keys watch=false follow=false cached local containers no-headers=true"
    ).split()
)
_OUTPUTS = frozenset("wide name json yaml jsonpath jsonpath-as-json go-template template custom-columns".split())
_ENDLESS = "kubectl logs -f never ends: use --tail or --since, and look again later"
_SECRETS = ("secret", "secrets")
_BRIEF = ("wide", "name")


@dataclass(frozen=True, slots=True)
class Line:
    """A command line that may be run. `manifests`: workspace paths whose content `-f -` reads."""

    verb: str
    argv: tuple[str, ...]
    manifests: tuple[str, ...] = ()


def checked(args: Sequence[str]) -> Line:
    """The command line, if agents may run it. Raise Refused or InvalidArguments saying why not, and what instead."""
    _plain(args)
    operands: list[str] = []
    argv: list[str] = []
    outputs: list[str] = []
    manifests: list[str] = []
    rest = list(args)
    while rest:
        word = rest.pop(0)
        if word == "--":
            if _verb(operands) not in ("run", "create"):
                raise Refused("kubectl: -- is for the command of `run` and `create job` only")
            argv += [word, *rest]
            break
        if not word.startswith("-") or word == "-":
            operands.append(word)
            argv.append(word)
            continue
        if word.startswith("-f") and operands[:1] == ["logs"]:
            raise Refused(_ENDLESS)
        name, value = _flag(word, rest)
        if name == "--filename":
            manifests += _paths(value or "")
        else:
            outputs += [value or ""] if name == "--output" else []
            argv.append(name if value is None else f"{name}={value}")
    verb = _verb(operands)
    if verb == "logs" and manifests:
        raise Refused(_ENDLESS)
    _known(outputs)
    if verb == "get" and any(output not in _BRIEF for output in outputs):
        _no_secrets(operands[1:])
    return Line(verb, (*argv[:1], *(("--filename=-",) if manifests else ()), *argv[1:]), tuple(manifests))


def _plain(args: Sequence[str]) -> None:
    if not args or args[0] == "kubectl":
        raise InvalidArguments('args: the arguments after kubectl, such as ["get", "pods", "-A"]')
    if len(args) > MAX_ARGS or any(len(word) > MAX_ARG_CHARS for word in args):
        raise InvalidArguments(f"at most {MAX_ARGS} arguments of {MAX_ARG_CHARS:,} characters")
    if any("\0" in word or not word for word in args):
        raise InvalidArguments("an argument is empty or holds a NUL")


def _flag(word: str, rest: list[str]) -> tuple[str, str | None]:
    """A flag's long name and its value. Takes the value off `rest` where it is the next word."""
    if word.startswith("--"):
        name, equals, value = word.partition("=")
    else:
        name, value = _SHORT.get(word[:2], word), word[2:].removeprefix("=")
        equals = value
    if word in _PLAIN or (name in _PLAIN and not equals) or (name in _PLAIN and value in ("true", "false")):
        return name, value if equals else None
    if name in _PLAIN & _VALUED and equals:
        return name, value
    if name not in _VALUED:
        raise Refused(
            f"kubectl: {name[:60]!r} is not a flag that agents may use. The cluster and the login are the User's "
            "(KUBECONFIG_PATH); files are named with -f only; nothing is watched or followed without end"
        )
    if equals:
        return name, value
    if not rest:
        raise InvalidArguments(f"kubectl: {word} lacks its value")
    return name, rest.pop(0)


def _verb(operands: Sequence[str]) -> str:
    if not operands:
        raise InvalidArguments(f"kubectl: no verb; there are {', '.join(sorted(VERBS))}")
    verb = operands[0]
    if verb in _REFUSED:
        raise Refused(f"kubectl {verb} is not run: {_REFUSED[verb]}")
    if verb not in VERBS:
        raise Refused(f"kubectl: {verb[:60]!r} is none of the verbs that are run: {', '.join(sorted(VERBS))}")
    if verb == "auth" and operands[1:2] not in (["can-i"], ["whoami"]):
        raise Refused("kubectl auth: only can-i and whoami are run")
    if verb == "cluster-info" and len(operands) > 1:
        raise Refused("kubectl cluster-info dump is not run: it prints everything; use get and logs")
    if verb == "create" and operands[1:2] in (["token"], ["secret"]):
        raise Refused(
            f"kubectl create {operands[1]} is not run: credentials are the User's; name a Secret that is there"
        )
    return verb


def _paths(value: str) -> list[str]:
    paths = [path for path in value.split(",") if path]
    if not paths or any(path == "-" or "://" in path for path in paths):
        raise Refused(
            "kubectl -f takes a workspace file or folder, such as config/app.yaml; no URL, no standard input"
        )
    return paths


def _known(outputs: Sequence[str]) -> None:
    for output in outputs:
        if output.partition("=")[0] not in _OUTPUTS:
            raise Refused(f"kubectl: output {output[:60]!r} is none of {', '.join(sorted(_OUTPUTS))} (=template)")


def _no_secrets(operands: Sequence[str]) -> None:
    """Values of Secrets would reach the model: refuse to print them."""
    for operand in operands:
        for kind in operand.lower().split(","):
            if kind.split("/")[0].split(".")[0] in _SECRETS:
                raise Refused("kubectl: the values of Secrets are not shown to agents; describe names their keys")
