"""The command line of the operator."""

import pytest

from inference_operator.options import Options, parse


def test_nothing_given_serves_all_namespaces_without_an_election():
    assert parse(["run"], {}) == Options()


def test_every_option_has_an_environment_variable():
    environment = {
        "OPERATOR_NAMESPACE": "team-a, team-b",
        "OPERATOR_DEFAULT_IMAGE": "server:1",
        "OPERATOR_CLIENT_SECRETS": "true",
        "OPERATOR_NETWORK_POLICIES": "false",
        "OPERATOR_HTTP_PORT": "9090",
        "OPERATOR_LEASE": "leader",
        "OPERATOR_LEASE_NAMESPACE": "system",
        "OPERATOR_KUBECONFIG": "/home/dev/kubeconfig",
        "OPERATOR_WORKERS": "2",
        "OPERATOR_REQUESTS_PER_SECOND": "20",
        "OPERATOR_RESYNC_SECONDS": "30",
        "OPERATOR_LOG_LEVEL": "debug",
    }
    assert parse(["run"], environment) == Options(
        namespaces=("team-a", "team-b"),
        default_image="server:1",
        client_secrets=True,
        network_policies=False,
        http_port=9090,
        lease="leader",
        lease_namespace="system",
        kubeconfig="/home/dev/kubeconfig",
        workers=2,
        requests_per_second=20.0,
        resync_seconds=30.0,
        log_level="debug",
    )


def test_the_command_line_wins_over_the_environment():
    given = parse(["run", "--namespace", "a", "--namespace", "b"], {"OPERATOR_NAMESPACE": "c"})
    assert given.namespaces == ("a", "b")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "command"),
        (["run", "--lease", "leader"], "belong together"),
        (["run", "--workers", "0"], "above zero"),
        (["run", "--requests-per-second", "0"], "above zero"),
        (["run", "--http-port", "70000"], "65535"),
        (["run", "--http-port", "many"], "invalid int value"),
        (["run", "--client-secrets", "perhaps"], "neither true nor false"),
        (["run", "--log-level", "loud"], "invalid choice"),
        (["run", "--unknown"], "unrecognized arguments"),
    ],
)
def test_a_senseless_option_is_refused_with_the_reason(arguments, complaint, capsys):
    with pytest.raises(SystemExit):
        parse(arguments, {})
    assert complaint in capsys.readouterr().err
