"""What deploy/ and docker-compose.yml say of the code is true: settings, commands, ports, metrics, time to drain."""

import importlib
import importlib.util
import json
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from pydantic import AliasChoices

import services
import shared
from deploy.embedded.ports import Ports
from shared import metrics
from shared.auth import checked_secret
from shared.bus.topology import durable_queues
from shared.settings import Settings

ROOT = Path(__file__).parents[2]
SERVICES = ("gateway", "messages", "rooms", "media")
SETTINGS = {name.upper() for name in Settings.model_fields}
ALIASES = {
    str(alias).upper()
    for field in Settings.model_fields.values()
    if isinstance(field.validation_alias, AliasChoices)
    for alias in field.validation_alias.choices
} - SETTINGS
"""Names of settings that other servers had."""

PORT = 3000
TEAM_PORT = 3003
FILES_PORT = Settings.model_fields["media_port"].default

FROM_OUTSIDE = {"HOST", "PORT", "OPS_PORT"}
"""Settings that the image gives."""

NEVER = {"INSTANCE", "EMBEDDED"}
"""Settings that no deployment takes over from the shell: the host name will do, and nothing here is embedded mode."""

Document = dict[str, Any]

compose: Document = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
dockerfile = (ROOT / "deploy/docker/Dockerfile").read_text()


def manifests() -> list[Document]:
    """Every Kubernetes object of the base."""
    base = ROOT / "deploy/k8s"
    names = yaml.safe_load((base / "kustomization.yaml").read_text())["resources"]
    return [item for name in names for item in yaml.safe_load_all((base / name).read_text())]


def of_kind(kind: str) -> dict[str, Document]:
    """The objects of a kind, by name."""
    return {item["metadata"]["name"]: item for item in manifests() if item["kind"] == kind}


deployments = of_kind("Deployment")


def container(name: str) -> Document:
    """The one container of a deployment."""
    (only,) = deployments[name]["spec"]["template"]["spec"]["containers"]
    return dict(only)


# ── every file can be read ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", sorted((ROOT / "deploy").rglob("*.y*ml")), ids=lambda path: path.name)
def test_yaml_parses(path: Path) -> None:
    """Every YAML file holds at least one document, and no empty one."""
    documents = list(yaml.safe_load_all(path.read_text()))
    assert documents
    assert all(documents)


@pytest.mark.parametrize("path", sorted((ROOT / "deploy").rglob("*.json")), ids=lambda path: path.name)
def test_json_parses(path: Path) -> None:
    """Every JSON file is JSON."""
    assert json.loads(path.read_text())


def test_every_manifest_is_part_of_the_base() -> None:
    """No file of deploy/k8s is forgotten in kustomization.yaml."""
    base = ROOT / "deploy/k8s"
    listed = set(yaml.safe_load((base / "kustomization.yaml").read_text())["resources"])
    assert listed == {path.name for path in base.glob("*.yaml")} - {"kustomization.yaml"}


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_all_services_are_deployed_and_no_others() -> None:
    """Each service has a deployment, and a service of the compose file beside the two servers."""
    assert deployments.keys() == set(SERVICES)
    assert compose["services"].keys() == {*SERVICES, "rabbitmq", "mongodb"}


@pytest.mark.parametrize("name", SERVICES)
def test_commands_exist(name: str) -> None:
    """`python -m services.<name>` is what starts it everywhere, and there is such a module."""
    expected = ["python", "-m", f"services.{name}"]
    assert compose["services"][name]["command"] == expected
    assert container(name)["command"] == expected
    assert importlib.util.find_spec(f"services.{name}.__main__") is not None


def test_the_image_holds_what_the_services_import() -> None:
    """The image takes exactly the sources and requirements that .dockerignore lets through."""
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    sources = re.findall(r"^COPY (?!--from)(\S+) ", dockerfile, re.MULTILINE)
    assert set(sources) == allowed
    assert all((ROOT / source).exists() for source in sources)
    assert 'CMD ["python", "-m", "services.gateway"]' in dockerfile


def test_images_are_pinned() -> None:
    """No image floats: each names a version."""
    images = [service["image"] for service in compose["services"].values()]
    images += re.findall(r"^ARG PYTHON=(.+)$", dockerfile, re.MULTILINE)
    assert not [image for image in images if "latest" in image or not re.search(r"\d+\.\d+", image)]


# ── settings ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", SERVICES)
def test_compose_sets_settings_that_exist(name: str) -> None:
    """Every variable of a container is a setting."""
    assert compose["services"][name]["environment"].keys() <= SETTINGS | ALIASES


def test_compose_takes_every_setting_over() -> None:
    """A setting in the shell or in .env reaches the gateway, or the other services where it is theirs alone."""
    given = set().union(*(compose["services"][name]["environment"] for name in ("gateway", "messages", "media")))
    assert given - ALIASES == SETTINGS - FROM_OUTSIDE - NEVER


def test_kubernetes_sets_settings_that_exist() -> None:
    """Every name in the config map and in the containers is a setting."""
    assert of_kind("ConfigMap")["parley-settings"]["data"].keys() <= SETTINGS
    for name in SERVICES:
        assert {item["name"] for item in container(name)["env"]} <= SETTINGS


def test_values_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The config map's values are valid settings."""
    for name, value in of_kind("ConfigMap")["parley-settings"]["data"].items():
        monkeypatch.setenv(name, value)
    assert Settings().shards == Settings.model_fields["shards"].default


def test_secrets_hold_what_containers_ask_for() -> None:
    """The example of the secret has every key that a container reads."""
    example = yaml.safe_load((ROOT / "deploy/k8s/examples/secret.yaml").read_text())
    asked = {
        item["valueFrom"]["secretKeyRef"]["key"]
        for name in SERVICES
        for item in container(name)["env"]
        if "secretKeyRef" in item["valueFrom"]
    }
    assert asked == example["stringData"].keys()


def test_the_gateway_has_no_database_credentials() -> None:
    """It owns no data; and only it needs the key that signs tokens."""
    for environment in (
        {name: compose["services"][name]["environment"].keys() for name in SERVICES},
        {name: {item["name"] for item in container(name)["env"]} for name in SERVICES},
    ):
        assert "MONGO_URL" not in environment["gateway"]
        assert [name for name in SERVICES if "JWT_SECRET" in environment[name]] == ["gateway"]
        assert all("MONGO_URL" in environment[name] for name in SERVICES if name != "gateway")


def test_compose_demands_a_secret() -> None:
    """Without JWT_SECRET nothing starts, and the message says what to do; the code refuses a short one."""
    secret = compose["services"]["gateway"]["environment"]["JWT_SECRET"]
    assert secret.startswith("${JWT_SECRET:?")
    with pytest.raises(Exception, match="at least 32"):
        checked_secret(Settings(jwt_secret="replace-me"))


# ── ports and health ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_port_everywhere() -> None:
    """Image, compose file, pods, service, network policies and Prometheus agree on the port."""
    assert re.findall(r"^ +(?:PORT|OPS_PORT)=(\d+)", dockerfile, re.MULTILINE) == [str(PORT)] * 2
    assert f"EXPOSE {PORT}\n" in dockerfile
    assert [item.rpartition(":")[2] for item in compose["services"]["gateway"]["ports"]] == [str(PORT), str(TEAM_PORT)]
    assert compose["services"]["gateway"]["environment"]["CHAT_SERVER_PORT"] == TEAM_PORT == Ports(PORT).team
    for name in SERVICES:
        assert {"name": "http", "containerPort": PORT} in container(name)["ports"]
        annotations = deployments[name]["spec"]["template"]["metadata"]["annotations"]
        assert annotations["prometheus.io/port"] == str(PORT)
    inward = [
        port["port"]
        for policy in of_kind("NetworkPolicy").values()
        for rule in policy["spec"].get("ingress", ())
        for port in rule["ports"]
    ]
    assert set(inward) == {PORT, FILES_PORT}
    scrape = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]
    assert scrape[0]["dns_sd_configs"][0] == {
        "names": [*SERVICES],
        "type": "A",
        "port": PORT,
        "refresh_interval": "10s",
    }


def test_files_have_one_port() -> None:
    """Where the media service has it, gateways look for it, and nobody else is let in."""
    assert {"name": "files", "containerPort": FILES_PORT} in container("media")["ports"]
    assert of_kind("Service")["media"]["spec"]["ports"][0]["port"] == FILES_PORT
    assert of_kind("ConfigMap")["parley-settings"]["data"]["MEDIA_URL"] == f"http://media:{FILES_PORT}"
    environment = {name: compose["services"][name]["environment"] for name in ("gateway", "media")}
    assert environment["media"]["MEDIA_PORT"] == FILES_PORT
    assert environment["gateway"]["MEDIA_URL"] == f"http://media:{FILES_PORT}"
    policies = of_kind("NetworkPolicy")
    [way_in], [way_out] = (
        policies["files-to-gateway"]["spec"]["ingress"],
        policies["gateway-from-files"]["spec"]["egress"],
    )
    assert way_in["from"][0]["podSelector"] == policies["gateway-from-files"]["spec"]["podSelector"]
    assert way_out["to"][0]["podSelector"] == policies["files-to-gateway"]["spec"]["podSelector"]
    assert way_in["ports"] == way_out["ports"] == [{"protocol": "TCP", "port": FILES_PORT}]


def test_only_gateways_and_the_media_service_share_the_secret_of_files() -> None:
    """It signs links, and what the one says to the other of who asks."""
    for environment in (
        {name: compose["services"][name]["environment"].keys() for name in SERVICES},
        {name: {item["name"] for item in container(name)["env"]} for name in SERVICES},
    ):
        assert {name for name in SERVICES if "MEDIA_SECRET" in environment[name]} == {"gateway", "media"}


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (None, 1)])
def test_health_check(status: int | None, code: int) -> None:
    """The image's health check succeeds where /readyz answers 200, and fails where it does not or nobody listens."""

    class Ready(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(int(status or 500) if self.path == "/readyz" else 404)
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Ready) as server:
        port = server.server_port
        thread = Thread(target=server.handle_request)
        if status is not None:
            thread.start()
        else:
            server.server_close()
        command = [sys.executable, str(ROOT / "deploy/docker/healthcheck.py")]
        done = subprocess.run(command, env={"PORT": str(port)}, capture_output=True, check=False, timeout=10)
        if status is not None:
            thread.join()
    assert done.returncode == code


@pytest.mark.parametrize("name", SERVICES)
def test_probes(name: str) -> None:
    """Liveness never depends on other servers, readiness always does."""
    pod = container(name)
    assert pod["startupProbe"]["httpGet"]["path"] == "/livez"
    assert pod["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert pod["readinessProbe"]["httpGet"]["path"] == "/readyz"


@pytest.mark.parametrize("name", SERVICES)
def test_there_is_time_to_drain(name: str) -> None:
    """Nobody is killed before DRAIN_TIMEOUT, the wait before it and the goodbyes after it are over."""
    needed = Settings.model_fields["drain_timeout"].default + 10
    waits = container(name).get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
    grace = deployments[name]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace >= needed + int(waits[-1])
    assert int(compose["services"][name]["stop_grace_period"].removesuffix("s")) >= needed


@pytest.mark.parametrize("name", SERVICES)
def test_pods_are_restricted(name: str) -> None:
    """What the restricted Pod Security Standard asks, and a read-only file system."""
    pod = deployments[name]["spec"]["template"]["spec"]
    inner = container(name)["securityContext"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert f"USER {pod['securityContext']['runAsUser']}:" in dockerfile
    assert inner == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_selectors_find_their_pods() -> None:
    """Services, disruption budgets, policies and the autoscaler name deployments that exist."""
    labels = "app.kubernetes.io/name"
    for item in (*of_kind("Service").values(), *of_kind("PodDisruptionBudget").values()):
        selector = item["spec"]["selector"]
        assert selector.get("matchLabels", selector)[labels] in deployments
    assert of_kind("PodDisruptionBudget").keys() == set(SERVICES)
    for item in of_kind("HorizontalPodAutoscaler").values():
        assert item["spec"]["scaleTargetRef"]["name"] in deployments
        assert "replicas" not in deployments[item["spec"]["scaleTargetRef"]["name"]]["spec"]


# ── metrics and queues ───────────────────────────────────────────────────────────────────────────────────────────────

PARLEY = re.compile(r"\bparley_[a-z_]+")
RABBITMQ = re.compile(r"\brabbitmq_[a-z_]+")
DETAILED = {
    "rabbitmq_detailed_queue_messages": "queue_coarse_metrics",
    "rabbitmq_detailed_queue_messages_ready": "queue_coarse_metrics",
    "rabbitmq_detailed_queue_consumers": "queue_consumer_count",
}
"""RabbitMQ's metrics in use, each with the family that it belongs to."""

SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def known_metrics() -> set[str]:
    """The names of all series of all services."""
    for package in (shared, services):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    return {
        f"{family.name}{suffix}" for family in metrics.REGISTRY.collect() for suffix in SUFFIXES.get(family.type, ())
    }


def expressions() -> Iterator[str]:
    """Every query in alerts and dashboard."""
    alerts = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
    yield from (rule["expr"] for group in alerts["groups"] for rule in group["rules"])
    dashboard = json.loads((ROOT / "deploy/grafana/dashboard.json").read_text())
    yield from (target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ()))


def test_metrics_exist() -> None:
    """Alerts and dashboard ask for series that the code makes, and the operations page names each of them."""
    known = known_metrics()
    asked = {name for expression in expressions() for name in PARLEY.findall(expression)}
    assert asked <= known
    families = {family.name for family in metrics.REGISTRY.collect()}
    documented = PARLEY.findall((ROOT / "docs/operations.md").read_text())
    assert families <= {name.removesuffix("_total") for name in documented}


def test_rabbitmq_is_asked_for_the_families_in_use() -> None:
    """The scrape of RabbitMQ brings the series that alerts and dashboard ask for."""
    asked = {name for expression in expressions() for name in RABBITMQ.findall(expression)}
    scrape = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"][1]
    assert asked <= DETAILED.keys()
    assert {DETAILED[name] for name in asked} == set(scrape["params"]["family"])


def test_queues_exist() -> None:
    """Queue names and patterns in queries match queues of the topology."""
    queues = [queue.name for queue in durable_queues(4)]
    patterns = {pattern for text in expressions() for pattern in re.findall(r'queue=~?"([^"]+)"', text)}
    assert patterns
    for pattern in patterns:
        expression = pattern.replace("\\\\", "\\")
        assert any(re.fullmatch(expression, queue) for queue in queues), pattern


def test_full_means_what_the_setting_says() -> None:
    """The alert on nearly full gateways is 80 % of the default of MAX_CONNECTIONS."""
    default = Settings.model_fields["max_connections"].default
    assert f"parley_connections > {default * 8 // 10}" in list(expressions())
