"""The files around the code: pins, commands, containers, who may import whom."""

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).parents[1]
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())
COMPOSE: Final = ROOT / "docker-compose.yml"
LABKIT: Final = sorted((ROOT / "labkit").rglob("*.py"))


def names(paths: list[Path]) -> list[str]:
    return [path.relative_to(ROOT).as_posix() for path in paths]


def said(command: list[str]) -> tuple[int, str]:
    """Run a command; return its exit status and what it had to complain about."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stderr


def imported(path: Path) -> set[str]:
    """The modules that a file imports, wherever in it, relative ones spelled out."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = path.relative_to(ROOT).parts[: -node.level] if node.level else ()
            found.add(".".join([*package, *filter(None, [node.module])]))
    return found


class TestRequirements:
    pinned: Final = [Requirement(line) for line in (ROOT / "requirements.txt").read_text().splitlines()]

    def test_every_line_is_one_exact_version(self) -> None:
        for requirement in self.pinned:
            assert [part.operator for part in requirement.specifier] == ["=="], requirement
            assert requirement.url is None

    def test_pins_are_inside_the_ranges_of_the_project(self) -> None:
        groups = [PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"].values()]
        ranges = [Requirement(line) for group in groups for line in group]
        pins = {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in self.pinned}
        for wanted in ranges:
            if wanted.name != PROJECT["project"]["name"]:
                assert wanted.specifier.contains(pins[canonicalize_name(wanted.name)]), wanted


class TestModules:
    @pytest.mark.parametrize("path", LABKIT, ids=names(LABKIT))
    def test_labkit_never_imports_the_lessons_tasks(self, path: Path) -> None:
        assert not [name for name in imported(path) if name.split(".")[0] == "tasks"]

    def test_tasks_are_a_plain_celery_project(self) -> None:
        everything = set().union(*(imported(path) for path in (ROOT / "tasks").glob("*.py")))
        outside = {name.split(".")[0] for name in everything} - set(sys.stdlib_module_names)
        assert outside == {"celery", "tasks"}

    def test_the_model_knows_neither_celery_nor_jupyter(self) -> None:
        known = {name.split(".")[0] for name in imported(ROOT / "labkit" / "graph.py")}
        assert known <= {"labkit", *sys.stdlib_module_names}

    @pytest.mark.parametrize("path", LABKIT, ids=names(LABKIT))
    def test_no_file_is_long_and_each_says_what_it_is_for(self, path: Path) -> None:
        text = path.read_text()
        assert len(text.splitlines()) <= 350
        assert ast.get_docstring(ast.parse(text))


class TestTasks:
    def test_the_app_speaks_json_only_and_its_results_expire(self) -> None:
        from tasks import app

        assert app.conf.accept_content == ["json"]
        assert app.conf.task_serializer == app.conf.result_serializer == "json"
        assert app.conf.result_expires

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ({}, ["redis://localhost:6379/0"] * 2),
            ({"LABKIT_BROKER_URL": "redis://r/3"}, ["redis://r/3"] * 2),
            (
                {"LABKIT_BROKER_URL": "redis://r/3", "LABKIT_RESULT_BACKEND": "redis://s/4"},
                ["redis://r/3", "redis://s/4"],
            ),
        ],
    )
    def test_broker_and_backend_come_from_the_environment(self, given: dict[str, str], expected: list[str]) -> None:
        code = "import json, tasks; print(json.dumps([tasks.app.conf.broker_url, tasks.app.conf.result_backend]))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=ROOT, env=given)
        assert json.loads(done.stdout) == expected

    def test_they_are_registered_under_the_names_they_are_imported_by(self) -> None:
        import tasks

        ours = {name for name in tasks.app.tasks if name.startswith("tasks.")}
        assert ours == {f"tasks.{name}" for name in tasks.__all__ if name != "app"}
        assert all(getattr(tasks, name.split(".")[1]).name == name for name in ours)

    def test_they_compute_what_they_say(self) -> None:
        import tasks

        assert tasks.add(2, 3) == 5
        assert tasks.sub(2, 3) == -1
        assert tasks.mul(2, 3) == 6
        assert tasks.power(2, 3) == 8
        assert tasks.xsum([1, 2, 3]) == 6
        assert tasks.ident({"a": 1}) == {"a": 1}
        assert tasks.noarg() == "done"
        assert tasks.note(1, "b") == [1, "b"]
        assert tasks.slow(0, "late") == "late"
        assert tasks.report_error("7") == "task 7 failed"
        with pytest.raises(ValueError, match="boom"):
            tasks.fail(1, 2)


class TestCommands:
    makefile: Final = (ROOT / "Makefile").read_text()

    def targets(self) -> set[str]:
        found = re.search(r"^\.PHONY: (help .*)$", self.makefile, re.MULTILINE)
        assert found
        return set(found.group(1).split())

    def test_help_lists_every_target(self) -> None:
        done = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
        assert set(re.findall(r"^make ([\w-]+)", done.stdout, re.MULTILINE)) == self.targets() - {"help"}

    def test_readme_lists_what_clean_removes(self) -> None:
        removed = re.findall(r"^\t@rm -rf (\$\(VENV\) .*)$", self.makefile, re.MULTILINE)[0].replace("$(VENV)", ".venv")
        readme = (ROOT / "README.md").read_text()
        section = readme[readme.index("## What `make clean` removes") :]
        for name in [*removed.split(), "__pycache__", ".ipynb_checkpoints"]:
            assert f"`{name}`" in section or f"`{name}/`" in section, name

    def test_readme_lists_the_lessons_there_are(self) -> None:
        linked = set(re.findall(r"\(notebooks/(\d\d_\w+\.ipynb)\)", (ROOT / "README.md").read_text()))
        assert linked == {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}

    @pytest.mark.parametrize("target", ["lab", "fresh", "test", "soak", "bench", "notebooks", "format", "lock"])
    def test_what_needs_the_environment_makes_it(self, target: str) -> None:
        assert re.search(rf"^{target}: setup$", self.makefile, re.MULTILINE)

    def test_clean_work_asks_first(self, tmp_path: Path) -> None:
        shutil.copy(ROOT / "Makefile", tmp_path)
        (tmp_path / "work").mkdir()
        make = ["make", "-s", "-C", str(tmp_path)]
        assert "stays" in subprocess.run([*make, "clean"], capture_output=True, text=True, check=True).stdout
        assert subprocess.run([*make, "clean-work"], capture_output=True, check=False).returncode == 2
        assert (tmp_path / "work").exists()
        subprocess.run([*make, "clean-work", "CONFIRM=yes"], capture_output=True, check=True)
        assert not (tmp_path / "work").exists()

    @pytest.mark.parametrize(
        ("python", "advice"),
        [
            ("#!/bin/sh\nexit 1\n", "no Python 3.11 or later found"),
            ('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\n', "sudo apt install python3-venv"),
        ],
        ids=["too old", "without ensurepip"],
    )
    def test_setup_says_what_to_do_about_an_unfit_python(self, tmp_path: Path, python: str, advice: str) -> None:
        for name in ("Makefile", "requirements.txt", "pyproject.toml"):
            shutil.copy(ROOT / name, tmp_path)
        fake = tmp_path / "python"
        fake.write_text(python)
        fake.chmod(0o755)
        make = ["make", "-C", str(tmp_path), "setup", f"PYTHON={fake}"]
        done = subprocess.run(make, capture_output=True, text=True, check=False)
        assert done.returncode != 0
        assert advice in done.stderr
        assert not (tmp_path / ".venv").exists()


class TestContainers:
    compose: Final[dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())
    services: Final[dict[str, Any]] = compose["services"]

    def test_a_compose_client_accepts_the_file(self) -> None:
        for client in (["docker", "compose"], ["docker-compose"]):
            if shutil.which(client[0]) and said([*client, "version"])[0] == 0:
                assert said([*client, "-f", str(COMPOSE), "config", "--quiet"]) == (0, "")
                return
        pytest.skip("no compose client here (Debian: apt install docker-compose)")

    def test_there_are_a_redis_a_worker_and_a_lab(self) -> None:
        assert set(self.services) == {"redis", "worker", "lab"}

    def test_only_the_lab_is_published_and_to_this_computer_alone(self) -> None:
        published = {name: service["ports"] for name, service in self.services.items() if "ports" in service}
        assert published == {"lab": ["127.0.0.1:8888:8888"]}
        assert not [name for name, service in self.services.items() if "network_mode" in service or "expose" in service]

    @pytest.mark.parametrize("name", services)
    def test_nobody_is_root_or_may_become_it_or_write_to_the_image(self, name: str) -> None:
        service = self.services[name]
        assert int(service["user"].split(":")[0]) > 0
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "privileged" not in service

    @pytest.mark.parametrize("name", services)
    def test_everybody_tells_how_they_are(self, name: str) -> None:
        assert {"test", "interval", "timeout", "retries"} <= set(self.services[name]["healthcheck"])

    def test_nobody_starts_before_what_they_need_is_healthy(self) -> None:
        waits = {name: service.get("depends_on", {}) for name, service in self.services.items()}
        assert waits == {
            "redis": {},
            "worker": {"redis": {"condition": "service_healthy"}},
            "lab": {"redis": {"condition": "service_healthy"}, "worker": {"condition": "service_healthy"}},
        }

    def test_the_image_is_pinned_to_a_minor_version(self) -> None:
        assert re.fullmatch(r"redis:\d+\.\d+", self.services["redis"]["image"])
        assert re.search(r"^FROM python:3\.\d+-slim$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)

    def test_the_token_stays_on(self) -> None:
        assert not re.search("token|password", COMPOSE.read_text() + (ROOT / "Dockerfile").read_text(), re.IGNORECASE)

    def test_the_image_holds_only_what_it_uses(self) -> None:
        ignored = (ROOT / ".dockerignore").read_text().split()
        copied = re.findall(r"^COPY (.*) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
        assert ignored[0] == "*"
        assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == set(" ".join(copied).split())


class TestContinuousIntegration:
    def test_it_runs_what_a_developer_runs(self) -> None:
        script = (ROOT / ".ci" / "run").read_text()
        assert script.startswith("#!/usr/bin/env bash\n")
        assert "set -euo pipefail" in script
        assert script.rstrip().endswith("exec make test")

    def test_elsewhere_it_runs_the_same_script(self) -> None:
        workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
        assert {"run": ".ci/run"} in workflow["jobs"]["test"]["steps"]
        assert workflow["permissions"] == {"contents": "read"}


def test_no_file_names_a_machine_or_a_registry() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: cannot tell the project's files from others")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    # This test and the gate's say what they look for, and the classroom's doctest shows what it takes out.
    spoken = {"tests/test_house.py", "tests/test_notebooks.py", "labkit/classroom.py"}
    pattern = re.compile(
        r"(?<![\w.])/(?:root|home|Users)/\w|pythonhosted\.org|\bpypi\.org|https?://[^\s\"'<>]+/simple\b"
    )
    found = []
    for name in sorted(set(listed.decode().split("\0")) - spoken - {""}):
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue
        found += [f"{name}: {match.group()}" for match in pattern.finditer(text)]
    assert found == []
