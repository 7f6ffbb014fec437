"""`make demo`: from nothing to a chat answer out of a pod, then a version swap under live streams."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error

from hack.background import DidNotStart, answers
from hack.binaries import CannotBuild
from hack.cluster import Cluster, places
from hack.cluster.objects import NotReady
from hack.cluster.processes import CannotRun, PartFailed
from hack.demo import parts, question
from hack.demo.steps import Steps
from hack.demo.swap import Swap, follow, swap, table
from hack.hub.__main__ import PORT
from hack.hub.__main__ import up as hub_up
from hack.images.engines import BuildFailed
from hack.kube import Kube
from hack.packages import PackagesMissing

NAMESPACE = "demo"
MODEL = "chat"
REACHABLE_SECONDS = 300.0
HOST = f"http://localhost:{places.HOST_PORT}"
FAILURES = (
    BuildFailed,
    CannotBuild,
    CannotRun,
    ConnectionError,
    DidNotStart,
    NotReady,
    PackagesMissing,
    PartFailed,
    TimeoutError,
    urllib.error.URLError,
)


def run() -> Swap:
    steps = Steps()
    with steps.step("A Kubernetes on this machine"):
        cluster = Cluster.up()
        print(f"   {cluster.backend}, node Ready")
    with steps.step("Images of server and operator"):
        images = parts.build_images()
        print(f"   {images.server}\n   {images.operator}")
    with steps.step("Weights of SmolLM2-135M-Instruct, served as a hub would"):
        hub_up(cluster.host_address, PORT)
    with steps.step("helm install"):
        parts.install_chart(cluster, images)
    kube = cluster.kube.within(NAMESPACE)
    with steps.step("kubectl apply -f hack/samples/chat-cpu.yaml"):
        apply_model(cluster, kube)
    with steps.step("A question"):
        ask()
    version = next_version(kube)
    with steps.step(f"kubectl patch im {MODEL}: version {version}, under live streams"):
        outcome = swap(kube, MODEL, images.server, f"http://{MODEL}.{NAMESPACE}.svc.cluster.local", version)
    with steps.step("The same question"):
        ask()
    tell(outcome)
    steps.print_table()
    return outcome


def apply_model(cluster: Cluster, kube: Kube) -> None:
    cluster.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    kube.apply(*parts.sample("chat-cpu.yaml", {"HF_ENDPOINT": f"http://{cluster.host_address}:{PORT}"}))
    begin = time.monotonic()
    follow(kube, MODEL, begin, lambda status: status["phase"] == "Ready")
    while not answers(f"{HOST}/health"):  # kube-proxy writes a new Service's rules up to a second later
        if time.monotonic() > begin + REACHABLE_SECONDS:
            raise TimeoutError(f"{HOST} does not answer, though the model is ready")
        time.sleep(0.1)


def ask() -> None:
    question.ask(HOST, MODEL, "What is the capital of France?")


def next_version(kube: Kube) -> str:
    """A second run of the demo finds the version of the first."""
    major, _, rest = kube.get("im", MODEL)["spec"]["model"]["version"].partition(".")
    return f"{int(major) + 1}.{rest}"


def tell(outcome: Swap) -> None:
    print("\n\033[1mWhat became of the streams\033[0m")
    print(table(outcome.streams))
    print(f"  from the edit to the flip        {outcome.flip:6.1f} s")
    print(f"  last stream of the old version   {outcome.last_old_stream:6.1f} s")
    print(f"  old pods gone                    {outcome.old_fleet_gone:6.1f} s")


def tell_next() -> None:
    print(f"""
The cluster stays up. Try:
  export KUBECONFIG={places.KUBECONFIG} PATH={places.BIN}:$PATH
  kubectl -n {NAMESPACE} get im -w
  kubectl -n {NAMESPACE} edit im {MODEL}                   # spec.model.version swaps; spec.limits changes live
  kubectl -n {NAMESPACE} describe im {MODEL}
  curl -N {HOST}/v1/chat/completions -H 'Content-Type: application/json' \\
    -d '{{"model":"{MODEL}","stream":true,"messages":[{{"role":"user","content":"Why is the sky blue?"}}]}}'
  {HOST}/v1/models in a browser, {HOST}/metrics for Prometheus
  make demo-down                                 # ends all of it""")


def main() -> int:
    try:
        outcome = run()
    except FAILURES as error:
        print(f"\nmake demo: {error}\n(logs of the cluster: {places.LOGS})", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        words = (error.stderr or error.stdout or "").strip()
        print(f"\nmake demo: {' '.join(map(str, error.cmd))}\n{words}", file=sys.stderr)
        return 1
    tell_next()
    return int(not outcome.unharmed)


if __name__ == "__main__":
    sys.exit(main())
