"""The command line. Every option of `run` has an environment variable: --default-image is OPERATOR_DEFAULT_IMAGE. Pure."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

AGAINST_CLUSTER = "cluster"
_NODES = ("unseen", "fixed", "autoscaled")
_LEVELS = ("debug", "info", "warning", "error")
_PLAN = """\
Prints which fields of an InferenceModel would change and whether each is live or rolling, the revision before and
after, and the steps that the operator would take on a cluster where all goes well: the operator's own planner
takes them. Works without a cluster, and writes nothing.

exit code: 0 no rollout (nothing changes, or live fields only); 3 a rollout; 4 the operator would refuse the spec;
1 a file or the cluster cannot be read; 2 a wrong command line"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Of `run`."""

    namespaces: tuple[str, ...] = ()
    """Which to serve; empty: all."""
    default_image: str = ""
    """Server image of models that name none; empty: such a model is invalid."""
    network_policies: bool = True
    """Whether each model gets a NetworkPolicy; if not, those that this operator made are deleted."""
    client_secrets: bool = False
    """Whether the Secrets of spec.clients may be read; if not, a spec that has clients is refused."""
    nodes: str = "unseen"
    """What may be known of nodes before a rollout: unseen (no right to list them), fixed, or autoscaled (a lack of
    room on them holds nothing up, for pods that wait make more of them come)."""
    http_port: int = 8080
    """For /healthz and /metrics."""
    lease: str = ""
    """Name of the Lease that the leader holds; empty: no election, for a single process."""
    lease_namespace: str = ""
    kubeconfig: str = ""
    """Empty: $KUBECONFIG, else the pod's service account, else ~/.kube/config."""
    workers: int = 4
    """Models that are worked on at once."""
    requests_per_second: float = 100.0
    """To the API server; twice as many at once."""
    resync_seconds: float = 300.0
    log_level: str = "info"


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanOptions:
    """Of `plan`."""

    file: str
    """The model as it is wanted; `-` is standard input."""
    against: str = ""
    """The model as it is: `cluster`, or a file; empty: there is none yet."""
    default_image: str = ""
    kubeconfig: str = ""


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Options | PlanOptions:
    """Exits with a message when an option makes no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m inference_operator", description="Serves InferenceModels."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    _add_run(commands.add_parser("run", help="run the operator"), environment)
    _add_plan(
        commands.add_parser(
            "plan",
            help="tell what an edit would do",
            description=_PLAN,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    given = parser.parse_args(arguments)
    if given.command == "plan":
        return PlanOptions(
            file=given.file,
            against=given.against,
            default_image=given.default_image,
            kubeconfig=given.kubeconfig,
        )
    return _run_options(parser, given, environment)


def _run_options(
    parser: argparse.ArgumentParser, given: argparse.Namespace, environment: Mapping[str, str]
) -> Options:
    namespaces = given.namespace or environment.get("OPERATOR_NAMESPACE", "").replace(",", " ").split()
    if bool(given.lease) != bool(given.lease_namespace):
        parser.error("--lease and --lease-namespace belong together")
    if given.workers < 1 or given.resync_seconds <= 0 or given.requests_per_second <= 0:
        parser.error("--workers, --resync-seconds and --requests-per-second must be above zero")
    if not 1 <= given.http_port <= 65535:
        parser.error("--http-port must be from 1 to 65535")
    return Options(
        namespaces=tuple(dict.fromkeys(namespaces)),
        default_image=given.default_image,
        network_policies=given.network_policies,
        client_secrets=given.client_secrets,
        nodes=given.nodes,
        http_port=given.http_port,
        lease=given.lease,
        lease_namespace=given.lease_namespace,
        kubeconfig=given.kubeconfig,
        workers=given.workers,
        requests_per_second=given.requests_per_second,
        resync_seconds=given.resync_seconds,
        log_level=given.log_level,
    )


def _add_plan(plan: argparse.ArgumentParser) -> None:
    plan.add_argument("-f", "--file", required=True, help="the model as it is wanted; - is standard input")
    plan.add_argument(
        "--against",
        default="",
        metavar="cluster|FILE",
        help="the model as it is now: read from the cluster, or from a file; without this it would be new",
    )
    plan.add_argument(
        "--default-image", default="", metavar="IMAGE", help="server image of models that name none"
    )
    plan.add_argument("--kubeconfig", default="", metavar="FILE", help="for --against cluster")


def _add_run(run: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    def add(flag: str, default: object, text: str, **more: object) -> None:
        variable = "OPERATOR_" + flag.removeprefix("--").replace("-", "_").upper()
        known = environment.get(variable) or default
        run.add_argument(flag, default=known, help=f"{text} [${variable}]", **more)  # type: ignore[arg-type]

    run.add_argument(
        "--namespace",
        action="append",
        metavar="NS",
        help="serve only this namespace; may be repeated [$OPERATOR_NAMESPACE, comma-separated]",
    )
    add("--default-image", "", "server image of models that name none", metavar="IMAGE")
    add(
        "--network-policies",
        "true",
        "whether each model gets a NetworkPolicy: true or false",
        type=_switch,
        metavar="SWITCH",
    )
    add(
        "--client-secrets",
        "false",
        "whether Secrets of spec.clients may be read: true or false",
        type=_switch,
        metavar="SWITCH",
    )
    add(
        "--nodes",
        "unseen",
        "what may be known of nodes before a rollout: may not be listed, are as many as they are, or come for pods that wait",
        choices=_NODES,
    )
    add("--http-port", 8080, "port of /healthz and /metrics", type=int)
    add("--lease", "", "name of the Lease for leader election", metavar="NAME")
    add("--lease-namespace", "", "namespace of that Lease", metavar="NS")
    add("--kubeconfig", "", "for a run outside the cluster", metavar="FILE")
    add("--workers", 4, "models that are worked on at once", type=int)
    add("--requests-per-second", 100.0, "to the API server; twice as many may come at once", type=float)
    add("--resync-seconds", 300.0, "how often every model is looked at anyway", type=float)
    add("--log-level", "info", "how much to log", choices=_LEVELS)


def _switch(text: str) -> bool:
    try:
        return {"true": True, "false": False}[text]
    except KeyError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false") from None
