"""What configs/deploy holds is of good form, and agrees with the program: commands, settings, ports, versions, times.

No image is built and no cluster is started here; nginx alone is run for real.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
import yaml

from rag.cli import group, placed
from rag.settings import Settings, load_settings
from tests import chroma
from tests.waiting import eventually

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "configs" / "deploy"
CONTAINERFILE, COMPOSE, KUBERNETES = (DEPLOY / name for name in ("Containerfile", "compose.yaml", "kubernetes.yaml"))
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

needs_nginx = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


def compose() -> dict[str, Any]:
    return yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))


def services() -> dict[str, Any]:
    return compose()["services"]


def manifests(kind: str = "") -> list[Any]:
    found = yaml.safe_load_all(KUBERNETES.read_text(encoding="utf-8"))
    return [item for item in found if kind in ("", item["kind"])]


def named(kind: str, name: str) -> Any:
    [found] = [item for item in manifests(kind) if item["metadata"]["name"] == name]
    return found


def pods() -> dict[str, Any]:
    """Pod templates by the name of what makes them."""
    made = {item["metadata"]["name"]: item["spec"]["template"] for item in manifests("StatefulSet")}
    jobs = {item["metadata"]["name"]: item["spec"]["jobTemplate"]["spec"]["template"] for item in manifests("CronJob")}
    return made | jobs


def container(name: str) -> Any:
    [found] = pods()[name]["spec"]["containers"]
    return found


def containers() -> list[Any]:
    return [container(name) for name in pods()]


def instructions() -> list[tuple[str, str]]:
    """The Containerfile's instructions, each on one line."""
    text = re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n", "", CONTAINERFILE.read_text(encoding="utf-8")))
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def instruction(word: str) -> str:
    """The last instruction of a kind."""
    return [rest for name, rest in instructions() if name == word][-1]


def chat_settings() -> Settings:
    return load_settings(["cluster", "deploy/container", DEPLOY / "settings.yaml"])


def seconds(text: str) -> float:
    number, unit = re.fullmatch(r"(\d+)(s|m)", text).groups()
    return float(number) * {"s": 1, "m": 60}[unit]


# Form


def tool(*command: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name(command[0])
    return subprocess.run([str(program), *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "command",
    [
        ("hadolint", str(CONTAINERFILE)),
        ("yamllint", "--strict", "configs"),
        ("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)),
    ],
    ids=["hadolint", "yamllint", "compose schema"],
)
def test_the_linters_find_nothing(command):
    done = tool(*command)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("version", ["1.25", "1.31", "latest"])
def test_every_manifest_passes_the_schema_of_kubernetes(version):
    import kubernetes_validate

    wanted = kubernetes_validate.latest_version() if version == "latest" else version
    assert len(manifests()) == 15
    for item in manifests():
        kubernetes_validate.validate(item, wanted, strict=True)


# Commands and settings


def commands() -> list[list[str]]:
    """Every `citewise` command that the files run, as its arguments."""
    found = [shlex.split(instruction("CMD").strip("[]").replace(",", " "))]
    for service in services().values():
        entry = service.get("entrypoint", ["citewise"])
        if service["image"].startswith("citewise") and entry[0] == "citewise":
            found.append([*entry[1:], *service["command"]])
    found += [item["args"] for item in containers() if "command" not in item and "args" in item]
    for file in DEPLOY.iterdir():
        spoken = re.findall(r"`citewise ([^`]+)`|run --rm ingest +(\w+)", file.read_text(encoding="utf-8"))
        found += [shlex.split(one or other) for one, other in spoken if one or other]
    return found


@pytest.mark.parametrize("arguments", commands(), ids=" ".join)
def test_every_command_is_one_of_the_program(arguments):
    name, *rest = placed(arguments)
    command = group.get_command(click.Context(group), name)
    assert command is not None, name
    command.make_context(name, rest)


def test_every_settings_file_that_is_named_exists_and_is_valid():
    given = [item for arguments in commands() for item in arguments]
    configs = {item.removeprefix("--config=") for item in given if item.startswith("--config=")}
    assert configs == {"cluster", "deploy/container", "/etc/citewise/settings.yaml"}
    settings = chat_settings()
    assert (settings.catalog.kind, settings.dense.url) == ("postgres", "http://chroma:8000")
    assert (settings.chat.host, settings.metrics.host) == ("0.0.0.0", "0.0.0.0")
    assert settings.chat.json_logs
    assert settings.tracing.endpoint is None


def test_compose_and_kubernetes_mount_the_same_settings():
    inline = yaml.safe_load(named("ConfigMap", "citewise")["data"]["settings.yaml"])
    assert inline == yaml.safe_load((DEPLOY / "settings.yaml").read_text(encoding="utf-8"))
    assert services()["chat-1"]["configs"] == [{"source": "settings", "target": "/etc/citewise/settings.yaml"}]
    assert {"name": "settings", "mountPath": "/etc/citewise", "readOnly": True} in container("chat")["volumeMounts"]


def test_everything_the_programs_read_from_the_environment_is_given():
    wanted = {"PGHOST", "PGUSER", "PGDATABASE", "PGPASSWORD", "OPENAI_API_KEY", "CITEWISE_USER", "CITEWISE_PASSWORD"}
    assert services()["chat-1"]["environment"].keys() == wanted
    assert services()["ingest"]["environment"].keys() == wanted - {"CITEWISE_USER", "CITEWISE_PASSWORD"}
    for name in ("chat", "ingest"):
        assert container(name)["envFrom"] == [{"secretRef": {"name": "citewise"}}]
        assert [item["name"] for item in container(name)["env"]] == ["PGHOST", "PGUSER", "PGDATABASE"]
    head = KUBERNETES.read_text(encoding="utf-8").partition("---")[0]
    secret = set(re.findall(r"--from-literal=(\w+)", head))
    assert secret == wanted - {"PGHOST", "PGUSER", "PGDATABASE"}
    database = services()["postgres"]["environment"]
    assert (database["POSTGRES_USER"], database["POSTGRES_DB"]) == ("citewise", "citewise")


def test_no_password_stands_in_a_file():
    for service in services().values():
        for name, value in service.get("environment", {}).items():
            if "PASSWORD" in name or "KEY" in name:
                assert value.startswith("${"), name


# Ports, times, versions


def test_ports_agree():
    settings = chat_settings()
    page, metrics = settings.chat.port, settings.metrics.port
    assert instruction("EXPOSE") == f"{page} {metrics}"
    assert f"http://127.0.0.1:{page}/health" in instruction("HEALTHCHECK")
    assert [item["containerPort"] for item in container("chat")["ports"]] == [page, metrics]
    assert pods()["chat"]["metadata"]["annotations"]["prometheus.io/port"] == str(metrics)
    opened = [rule["ports"] for rule in named("NetworkPolicy", "to-chat")["spec"]["ingress"]]
    assert opened == [[{"port": page}], [{"port": metrics}]]
    assert {line.partition(" ")[0] for line in upstreams()} == {f"{name}:{page}" for name in replicas()}
    [published] = services()["nginx"]["ports"]
    assert f"listen {published.partition(':')[2]};" in nginx_conf()
    assert [name for name, service in services().items() if "ports" in service] == ["nginx"]


def test_nginx_knows_every_replica_and_waits_for_it():
    assert len(replicas()) == 3
    assert services()["nginx"]["depends_on"].keys() == set(replicas())
    assert named("StatefulSet", "chat")["spec"]["replicas"] == 3


def test_whoever_is_stopped_has_time_for_the_answers_under_way():
    needed = chat_settings().chat.shutdown_seconds + 5
    assert seconds(services()["chat-1"]["stop_grace_period"]) >= needed
    before = float(container("chat")["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pods()["chat"]["spec"]["terminationGracePeriodSeconds"] >= needed + before


def test_a_replica_is_asked_whether_it_lives_and_whether_it_can_answer():
    probes = {
        name: container("chat")[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")
    }
    assert probes == {"startup": "/health", "liveness": "/health", "readiness": "/ready"}
    for name, service in services().items():
        assert "healthcheck" in service or service["image"].startswith("citewise"), name
    for condition in services()["chat-1"]["depends_on"].values():
        assert condition == {"condition": "service_healthy"}


def test_uploads_pass_everywhere_as_large_as_the_page_takes_them():
    size = chat_settings().chat.max_upload_mb + 10
    assert f"client_max_body_size {size}m;" in nginx_conf()
    assert (
        named("Ingress", "chat")["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-body-size"] == f"{size}m"
    )


def test_images_are_named_with_versions_and_ours_with_the_project_s():
    ours = f"citewise:{PROJECT['version']}"
    used = {service["image"] for service in services().values()} | {item["image"] for item in containers()}
    assert used == {ours, "postgres:15", "nginx:1.28-alpine"}
    assert ours in CONTAINERFILE.read_text(encoding="utf-8")
    for image in [rest.partition(" ")[0] for word, rest in instructions() if word == "FROM"]:
        assert re.fullmatch(r"python:3\.\d+-slim", image)
        assert tuple(map(int, re.findall(r"\d+", image))) >= (3, 11)
    assert PROJECT["requires-python"] == ">=3.11"


# Safety


def test_nobody_is_root_and_nothing_but_volumes_and_tmp_is_written():
    assert instruction("USER") == "10001:10001"
    for name, service in services().items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        user = service.get("user", "10001:10001" if service["image"].startswith("citewise") else "0")
        assert not user.startswith("0"), name
    for name, pod in pods().items():
        whole, own = pod["spec"]["securityContext"], container(name)["securityContext"]
        assert (whole["runAsNonRoot"], whole["seccompProfile"]) == (True, {"type": "RuntimeDefault"})
        assert own == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}
        }  # fmt: skip
        assert {"requests", "limits"} <= container(name)["resources"].keys()
        assert pod["spec"]["automountServiceAccountToken"] is False


def test_the_servers_of_data_are_on_an_inner_network():
    assert compose()["networks"]["inner"] == {"internal": True}
    assert services()["postgres"]["networks"] == services()["chroma"]["networks"] == ["inner"]
    policy = named("NetworkPolicy", "to-data")["spec"]
    assert (policy["egress"], policy["policyTypes"]) == ([], ["Ingress", "Egress"])
    assert named("NetworkPolicy", "nothing-else")["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}


def test_services_and_policies_choose_pods_that_exist():
    labels = [pod["metadata"]["labels"] for pod in pods().values()]
    assert len({item["app.kubernetes.io/component"] for item in labels}) == 4
    for item in manifests("Service"):
        assert item["spec"]["selector"] in labels
    for item in manifests("StatefulSet"):
        assert item["spec"]["selector"]["matchLabels"] == item["spec"]["template"]["metadata"]["labels"]
        assert item["spec"]["serviceName"] in {service["metadata"]["name"] for service in manifests("Service")}
    backend = named("Ingress", "chat")["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert backend == {"name": "chat", "port": {"name": "http"}}
    assert named("ConfigMap", "citewise")["data"]["PGHOST"] == named("Service", "postgres")["metadata"]["name"]


# The image


def copied() -> list[str]:
    sources = [rest.split()[:-1] for word, rest in instructions() if word == "COPY" and "--from" not in rest]
    return [source for some in sources for source in some]


def test_what_the_image_is_made_of_exists_and_is_not_ignored():
    import pathspec

    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    ignored = pathspec.GitIgnoreSpec.from_lines(lines)
    assert {"requirements.lock", "pyproject.toml", "rag", "ui", "eval", "configs"} <= set(copied())
    for source in copied():
        files = [ROOT / source] if (ROOT / source).is_file() else sorted((ROOT / source).rglob("*.*"))
        assert files, source
        for file in files:
            if "__pycache__" not in file.parts and "screenshots" not in file.parts:
                assert not ignored.match_file(file.relative_to(ROOT).as_posix()), file
    mine = [".env", *(f"configs/deploy/{name}" for name in (".env", "papers/a.bib"))]
    for other in ("tests/test_deploy.py", ".git/config", ".venv/bin/python", "rag/__pycache__/x.pyc", *mine):
        assert ignored.match_file(other), other
    kept_out = pathspec.GitIgnoreSpec.from_lines((ROOT / ".gitignore").read_text(encoding="utf-8").splitlines())
    assert all(kept_out.match_file(name) for name in mine)


def test_the_image_installs_from_the_lock_with_hashes_and_its_lock_holds_what_the_settings_need():
    runs = [rest for word, rest in instructions() if word == "RUN"]
    installs = [part for rest in runs for part in rest.split("&&") if "install --no-cache-dir" in part]
    assert len(installs) == 2
    assert "--require-hashes --requirement requirements.lock" in installs[0]
    assert "--no-deps ." in installs[1]
    locked = set(re.findall(r"(?m)^([a-z0-9-]+)==", (ROOT / "requirements.lock").read_text(encoding="utf-8")))
    extras = PROJECT["optional-dependencies"]
    for line in [*PROJECT["dependencies"], *extras["cluster"], *extras["observability"]]:
        assert re.match(r"[\w-]+", line)[0].lower() in locked, line


# nginx


def nginx_conf() -> str:
    return (DEPLOY / "nginx.conf").read_text(encoding="utf-8")


def upstreams() -> list[str]:
    return re.findall(r"server ([\w.-]+:\d+ [^;]+);", nginx_conf())


def replicas() -> list[str]:
    return [name for name in services() if name.startswith("chat-")]


class Replica(BaseHTTPRequestHandler):
    """Says which replica it is; one that is being stopped answers 503 to what is new."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        stopping = self.server.stopping  # type: ignore[attr-defined]
        body = f"{self.server.server_address[1]} {self.headers['X-Forwarded-For']} {self.headers['Host']}".encode()
        self.send_response(503 if stopping else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.path == "/slow":
            self.wfile.write(body[:1])
            self.wfile.flush()
            self.server.go_on.wait(30)  # type: ignore[attr-defined]
            body = body[1:]
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def behind_nginx(tmp_path: Path) -> Iterator[tuple[str, list[Any]]]:
    """The address of nginx with the shipped configuration, and the three replicas behind it."""
    servers: list[Any] = []
    for _ in range(3):
        server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Replica)
        server.daemon_threads, server.stopping, server.go_on = True, False, threading.Event()
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
    port, folder = chroma.free_port(), tmp_path / "nginx"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    text = nginx_conf().replace("/tmp/", f"{folder}/").replace("listen 8080", f"listen 127.0.0.1:{port}")
    for name, server in zip(replicas(), servers, strict=True):
        text = text.replace(f"{name}:7860", f"127.0.0.1:{server.server_address[1]}")
    conf = tmp_path / "nginx.conf"
    conf.write_text(text, encoding="utf-8")
    with (tmp_path / "log").open("wb") as log:
        command = [str(NGINX), "-c", str(conf), "-p", str(folder)]
        assert subprocess.run([*command, "-t"], stderr=log, check=False).returncode == 0, (tmp_path / "log").read_text()
        process = subprocess.Popen([*command, "-g", "daemon off;"], stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            assert eventually(lambda: answers(url)), (tmp_path / "log").read_text()
            yield url, servers
        finally:
            process.terminate()
            process.wait(30)
            for server in servers:
                server.shutdown()
                server.server_close()


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=60).is_success
    except httpx.ConnectError:
        return False


def replica_of(response: httpx.Response) -> str:
    return response.text.partition(" ")[0]


@needs_nginx
@pytest.mark.loopback
@pytest.mark.enable_socket
def test_visitors_stay_with_a_replica_and_are_spread_over_all(behind_nginx):
    url, servers = behind_nginx
    seen = set()
    for _ in range(40):
        with httpx.Client(base_url=url, timeout=60) as visitor:
            first = visitor.get("/")
            assert first.headers["set-cookie"].startswith("citewise_replica=")
            later = [visitor.get("/config"), visitor.post("/gradio_api/queue/join", json={}), visitor.get("/")]
            assert {replica_of(item) for item in later} == {replica_of(first)}
            assert not any("set-cookie" in item.headers for item in later)
            seen.add(replica_of(first))
    assert seen == {str(server.server_address[1]) for server in servers}
    scripts = [httpx.post(f"{url}/gradio_api/call/ask", json={}, timeout=60) for _ in range(4)]
    assert len({replica_of(item) for item in scripts}) == 1, "without cookies, the address decides"


@needs_nginx
@pytest.mark.loopback
@pytest.mark.enable_socket
def test_what_a_stopping_replica_refuses_goes_to_another(behind_nginx):
    url, servers = behind_nginx
    with httpx.Client(base_url=url, timeout=60) as visitor:
        own = replica_of(visitor.get("/"))
        [server] = [server for server in servers if str(server.server_address[1]) == own]
        server.stopping = True
        moved = visitor.post("/gradio_api/queue/join", json={})
        assert moved.status_code == 200
        assert replica_of(moved) != own
        assert replica_of(visitor.get("/")) == replica_of(moved)


@needs_nginx
@pytest.mark.loopback
@pytest.mark.enable_socket
def test_not_ready_is_an_answer_that_takes_no_replica_out(behind_nginx):
    url, servers = behind_nginx
    for server in servers:
        server.stopping = True
    assert {httpx.get(f"{url}/ready", timeout=60).status_code for _ in range(6)} == {503}
    for server in servers:
        server.stopping = False
    assert httpx.get(url, timeout=60).status_code == 200


@needs_nginx
@pytest.mark.loopback
@pytest.mark.enable_socket
def test_words_are_passed_on_as_they_come_with_the_client_s_own_address(behind_nginx):
    url, servers = behind_nginx
    forged = {"X-Forwarded-For": "203.0.113.9"}
    with httpx.stream("GET", f"{url}/slow", headers=forged, timeout=25) as response:
        pieces = response.iter_raw(1)
        first = next(pieces)
        for server in servers:
            server.go_on.set()
        text = (first + b"".join(pieces)).decode()
    assert text.endswith(f" 127.0.0.1 {url.partition('//')[2]}")


@needs_nginx
@pytest.mark.loopback
@pytest.mark.enable_socket
def test_passwords_can_only_be_guessed_slowly(behind_nginx):
    url, _ = behind_nginx
    guesses = [{"username": "ann", "password": str(at)} for at in range(30)]
    with ThreadPoolExecutor(len(guesses)) as pool:  # at once: one by one they may be slow enough on a busy machine
        tried = list(pool.map(lambda guess: httpx.post(f"{url}/login", data=guess, timeout=60).status_code, guesses))
    assert set(tried) == {200, 429}
    assert tried.count(200) >= 8
    assert httpx.post(f"{url}/gradio_api/queue/join", json={}, timeout=60).status_code == 200
