"""What the local cluster is made from, tried without starting it."""

import io
import json
import socket
import subprocess
import tarfile
import threading
from pathlib import Path

import pytest

from hack import binaries, packages
from hack.binaries import FAMILIES, Family
from hack.cluster import choose, configs, kind, network, objects, parts, pause, pki, places
from hack.cluster.parts import Part
from hack.cluster.processes import CannotRun, Process, find, recovered


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pki")
    pki.ensure(folder)
    return folder


def subject_and_names(certificate: Path) -> str:
    shown = ("-noout", "-subject", "-ext", "subjectAltName")
    command = ["openssl", "x509", "-in", str(certificate), *shown]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_every_certificate_is_signed_by_the_clusters_own_authority(certificates):
    for wanted in pki.CERTIFICATES:
        signed = certificates / f"{wanted.name}.crt"
        subprocess.run(
            ["openssl", "verify", "-CAfile", certificates / "ca.crt", signed], check=True, capture_output=True
        )


def test_the_api_servers_certificate_names_all_the_ways_to_it(certificates):
    shown = subject_and_names(certificates / "apiserver.crt")
    for name in (
        "kubernetes.default.svc.cluster.local",
        "localhost",
        "127.0.0.1",
        places.SERVICE_IP,
        places.NODE_IP,
    ):
        assert name in shown


def test_the_nodes_client_is_a_node_to_the_authorizer(certificates):
    shown = subject_and_names(certificates / "node.crt")
    assert "O = system:nodes" in shown
    assert f"CN = system:node:{places.NODE}" in shown


def test_a_complete_folder_is_left_as_it_is(certificates):
    before = (certificates / "ca.crt").read_bytes()
    pki.ensure(certificates)
    assert (certificates / "ca.crt").read_bytes() == before


def test_no_file_of_a_key_can_be_read_by_others(certificates):
    assert certificates.stat().st_mode & 0o077 == 0


def test_a_kubeconfig_speaks_to_this_machine_under_a_name_of_its_own():
    config = pki.kubeconfig("admin")
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:6443"
    assert config["current-context"] == places.CONTEXT


def test_every_configuration_file_parses():
    for name, text in configs.files().items():
        if name.endswith((".yaml", ".conflist")):
            assert json.loads(text)


def test_the_kubelet_pulls_and_leases_inside_the_clusters_own_folders():
    assert configs.kubelet()["containerRuntimeEndpoint"].endswith(str(places.CONTAINERD_SOCKET))
    assert str(places.RUN) in json.dumps(configs.cni())
    assert "restrict_oom_score_adj = true" in configs.containerd()


def test_the_api_server_ends_before_etcd():
    names = [part.name for part in reversed(parts.all_parts())]
    assert names.index("kube-apiserver") < names.index("etcd")


def test_everything_listens_on_this_machine_alone():
    """Loopback, or the bridge that only this machine's pods are on."""
    etcd = next(part for part in parts.all_parts() if part.name == "etcd")
    for flag in etcd.command[1:]:
        if "://" in flag:
            assert "127.0.0.1" in flag


def test_kinds_node_port_is_the_one_that_the_samples_use():
    mapping = kind.config()["nodes"][0]["extraPortMappings"][0]
    assert (mapping["containerPort"], mapping["hostPort"]) == (places.NODE_PORT, places.HOST_PORT)
    sample = (Path(__file__).parents[2] / "hack/samples/chat-cpu.yaml").read_text()
    assert str(places.NODE_PORT) in sample


def test_a_named_back_end_is_taken_and_auto_asks_for_docker(monkeypatch):
    monkeypatch.setattr(kind, "is_available", lambda: True)
    assert (choose("auto"), choose("processes")) == ("kind", "processes")
    monkeypatch.setattr(kind, "is_available", lambda: False)
    assert (choose("auto"), choose("kind")) == ("processes", "kind")


def test_the_pause_image_holds_its_program_and_the_name_the_kubelet_asks_for():
    with tarfile.open(fileobj=io.BytesIO(pause.image(b"program"))) as archive:
        manifest = json.load(archive.extractfile("manifest.json"))
        layer = archive.extractfile("layer.tar").read()
    assert manifest[0]["RepoTags"] == [places.PAUSE]
    with tarfile.open(fileobj=io.BytesIO(layer)) as files:
        assert files.extractfile("pause").read() == b"program"


@pytest.fixture
def family(tmp_path, monkeypatch):
    monkeypatch.setattr(binaries, "TOOLS", tmp_path)
    (tmp_path / "tool").mkdir()
    (tmp_path / "tool/go.mod").write_text("module example.com/tool\n\ngo 1.26.0\n")
    return Family(name="tool", package=".", programs=("tool",))


def test_a_binary_is_built_anew_when_its_inputs_change(family):
    before = binaries.digest(family)
    assert binaries.digest(family) == before
    (family.folder / "go.mod").write_text("module example.com/tool\n\ngo 1.26.1\n")
    assert binaries.digest(family) != before


def test_a_build_that_fails_says_what_the_compiler_said(family, tmp_path):
    (family.folder / "main.go").write_text("package main\nfunc main() { nonsense() }")
    with pytest.raises(binaries.CannotBuild, match="nonsense"):
        binaries.build(family, tmp_path / "built")
    assert not (tmp_path / "built").exists()


def test_kubernetes_says_which_version_it_is():
    assert f"gitVersion={binaries.KUBERNETES}" in FAMILIES["kubernetes"].ldflags


def test_a_missing_program_is_named_by_its_package():
    assert packages.missing({"no-such-program": "its-package", "sh": "dash"}) == ["its-package"]


def test_a_pid_that_another_program_has_now_is_not_ours(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "RUN", tmp_path)
    process = Process(Part("etcd", ("true",), ""))
    assert process.pid() is None
    process.record.parent.mkdir(parents=True)
    process.record.write_text(json.dumps({"pid": 1, "started": "some other time"}))
    assert process.pid() is None


def http2_frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


SETTINGS = http2_frame(4, 0, 0, b"")
GRPC_UNKNOWN = http2_frame(1, 5, 1, b"\x88\x00\x0bgrpc-status\x012")  # :status 200, and no body


@pytest.mark.parametrize(
    "answer", [b"", SETTINGS + GRPC_UNKNOWN], ids=["nothing", "server is not initialized yet"]
)
def test_a_container_runtime_that_only_listens_is_not_up(tmp_path, answer):
    """containerd's socket is there before its CRI answers, and a kubelet that asks in between ends."""
    path = tmp_path / "runtime.sock"
    assert not recovered(path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def refuse() -> None:
            with server.accept()[0] as client:
                client.sendall(answer)
                while answer and client.recv(4096):
                    pass

        thread = threading.Thread(target=refuse)
        thread.start()
        assert not recovered(path)
        thread.join()


def test_an_unknown_part_is_told_with_those_there_are():
    with pytest.raises(CannotRun, match=r"no part 'kubelett'.*kubelet"):
        find("kubelett")


def test_a_volume_is_a_folder_that_pods_of_any_user_write_to(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "VOLUMES", tmp_path)
    volume = objects.volume(3)
    assert volume["spec"]["hostPath"]["path"] == str(tmp_path / "3")
    assert (tmp_path / "3").stat().st_mode & 0o777 == 0o777


def test_only_mounts_below_the_folder_are_taken_away(tmp_path):
    before = Path("/proc/self/mounts").read_text()
    network.unmount_below(tmp_path)
    assert Path("/proc/self/mounts").read_text() == before
