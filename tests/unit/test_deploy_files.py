"""The files in `deploy/` start what there is: every command and option exists, and what they promise is kept."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest
from packaging.requirements import Requirement
from typer.main import get_command

from eyebright_edge.agent import service
from eyebright_edge.kiosk.settings import PORT, KioskSettings

REPOSITORY = Path(__file__).resolve().parents[2]
DEPLOY = REPOSITORY / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
SCREENING = [unit for unit in UNITS if unit.stem in ("eyebright-agent", "eyebright-kiosk")]
DOCKERFILE = (DEPLOY / "container" / "Dockerfile").read_text()
COMPOSE = (DEPLOY / "container" / "compose.yaml").read_text()


def settings(unit: Path) -> dict[str, list[str]]:
    """Return what a service file sets, by name; a name may be set more than once."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def parse(words: list[str]) -> None:
    """Parse a command line as `eyebright` would, without running it.

    Raises:
        click.UsageError: there is no such command or option, or an argument is missing.
    """
    points = {point.name: point for point in entry_points(group="eyebright.commands")}
    role, *rest = words
    command: click.Command = get_command(points[role].load())
    while isinstance(command, click.Group):
        name, command, rest = command.resolve_command(click.Context(command), rest)
        assert command is not None, name
    command.make_context(command.name, rest)


def started() -> Iterator[tuple[str, list[str]]]:
    for unit in UNITS:
        for line in settings(unit)["ExecStart"]:
            program, *words = shlex.split(line)
            assert program == "/opt/eyebright/bin/eyebright"
            yield unit.name, words
    for words in re.findall(r"^ +command: (\[.*\])$", COMPOSE, re.MULTILINE):
        yield "compose.yaml", json.loads(words)


@pytest.mark.parametrize(("where", "words"), [pytest.param(*one, id=f"{one[0]}: {one[1][1]}") for one in started()])
def test_what_is_started_exists(where: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    if where == "compose.yaml":
        monkeypatch.setenv("EYEBRIGHT_HOME", _environment(DOCKERFILE)["EYEBRIGHT_HOME"])
    parse(words)


@pytest.mark.parametrize("words", [["edge", "agents"], ["edge", "kiosk", "--home", "x", "--fullscreen"]])
def test_the_check_itself_finds_what_does_not_exist(words: list[str]) -> None:
    with pytest.raises(click.UsageError):
        parse(words)


def test_every_role_has_its_service() -> None:
    assert {words[0] for _, words in started()} == {"server", "client", "edge"}


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_service_has_no_more_rights_than_it_needs(unit: Path) -> None:
    told = settings(unit)
    assert told["User"] == ["eyebright"]
    for name, value in (
        ("NoNewPrivileges", "yes"),
        ("PrivateTmp", "yes"),
        ("ProtectHome", "yes"),
        ("ProtectSystem", "strict"),
        ("UMask", "0077"),
        ("StateDirectoryMode", "0700"),
        ("Restart", "always"),
    ):
        assert told[name] == [value], name
    (home,) = re.findall(r"/var/lib/eyebright/\w+", told["ExecStart"][0])
    assert home.startswith(told["ReadWritePaths"][0].split()[0])


def test_only_what_tells_systemd_that_it_lives_is_watched() -> None:
    watched = {unit.stem: settings(unit)["WatchdogSec"] for unit in UNITS if "WatchdogSec" in settings(unit)}
    assert list(watched) == ["eyebright-agent"]
    assert settings(DEPLOY / "systemd" / "eyebright-agent.service")["Type"] == ["notify"]
    # systemd's own advice: a sign of life at half the interval or more often.
    assert float(watched["eyebright-agent"][0]) >= 2 * service._HEARTBEAT_S


def test_an_update_yields_to_screening() -> None:
    agent, kiosk = (settings(unit) for unit in SCREENING)
    assert int(agent["OOMScoreAdjust"][0]) > 0 > int(kiosk["OOMScoreAdjust"][0])
    assert int(agent["Nice"][0]) > 0
    assert "Nice" not in kiosk


def test_agent_and_screen_serve_one_unit_and_keep_its_engines_in_one_place() -> None:
    agent, kiosk = (settings(unit) for unit in SCREENING)
    for name in ("User", "Environment", "StateDirectory"):
        assert agent[name] == kiosk[name]
    assert agent["ExecStart"][0].split("--home")[1] == kiosk["ExecStart"][0].split("--home")[1]


def test_the_screen_reaches_nobody_beyond_this_machine() -> None:
    kiosk = settings(DEPLOY / "systemd" / "eyebright-kiosk.service")
    assert (kiosk["IPAddressDeny"], kiosk["IPAddressAllow"]) == (["any"], ["localhost"])


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_takes_the_files_without_a_word(tmp_path: Path) -> None:
    for unit in UNITS:
        # It looks for the program and the user; on this machine there are others.
        text = unit.read_text().replace("/opt/eyebright/bin/eyebright", sys.executable)
        (tmp_path / unit.name).write_text(text.replace("User=eyebright", "User=daemon"))
    command = ["systemd-analyze", "verify", "--recursive-errors=no", *(str(tmp_path / unit.name) for unit in UNITS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    about_ours = [line for line in (done.stdout + done.stderr).splitlines() if "eyebright-" in line]
    assert (done.returncode, about_ours) == (0, [])


def _arguments(dockerfile: str) -> dict[str, str]:
    return dict(re.findall(r"^ARG (\w+)=(.*)$", dockerfile, re.MULTILINE))


def _environment(dockerfile: str) -> dict[str, str]:
    (block,) = re.findall(r"^ENV ((?:.*\\\n)*.*)$", dockerfile, re.MULTILINE)
    return dict(word.split("=", 1) for word in block.replace("\\\n", " ").split())


def test_the_image_is_made_of_extras_and_pins_that_exist() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    roles = {_arguments(DOCKERFILE)["EXTRA"], *re.findall(r"--build-arg EXTRA=(\w+)", DOCKERFILE)}
    assert roles == {"edge", "server"}
    assert roles <= set(project["optional-dependencies"])
    assert '--constraint /source/constraints.txt "/source[${EXTRA}]"' in DOCKERFILE
    assert project["scripts"]["eyebright"]
    assert 'ENTRYPOINT ["eyebright"]' in DOCKERFILE


def test_the_image_gets_everything_the_package_is_built_from_and_no_more() -> None:
    hatch = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    needed = {path.split("/")[0] for path in hatch["targets"]["wheel"]["packages"]} | {"pyproject.toml", "README.md"}
    lines = (DEPLOY / "container" / "Dockerfile.dockerignore").read_text().splitlines()
    assert "*" in lines
    let_in = {line[1:] for line in lines if line.startswith("!")}
    assert let_in == needed | {"constraints.txt"}
    assert all((REPOSITORY / name).exists() for name in let_in)


def test_nobody_in_the_container_is_root_and_only_the_home_is_written() -> None:
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    assert "\nUSER eyebright\n" in last_stage
    (volume,) = re.findall(r"^VOLUME (\S+)$", last_stage, re.MULTILINE)
    assert _environment(DOCKERFILE)["EYEBRIGHT_HOME"].startswith(f"{volume}/")
    assert _environment(DOCKERFILE)["EYEBRIGHT_ENGINES"].startswith(f"{volume}/")
    for line in ("read_only: true", 'cap_drop: ["ALL"]', f'volumes: ["unit:{volume}"]', "no-new-privileges:true"):
        assert line in COMPOSE


def test_the_browser_opens_the_address_the_screen_has() -> None:
    script = (DEPLOY / "desktop" / "eyebright-screen").read_text()
    assert f"http://{KioskSettings().host}:{PORT}/" in script
    assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0
    assert "Exec=/usr/local/bin/eyebright-screen\n" in (DEPLOY / "desktop" / "eyebright-screen.desktop").read_text()


@pytest.mark.parametrize("browser", ["chromium", "chromium-browser", "firefox"])
def test_the_screen_is_opened_with_whatever_browser_there_is(browser: str, tmp_path: Path) -> None:
    for name, says in (("curl", "exit 0"), (browser, 'echo "$(basename "$0")" "$@"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{says}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "basename").symlink_to(str(shutil.which("basename")))
    script = DEPLOY / "desktop" / "eyebright-screen"
    done = subprocess.run(
        ["/bin/sh", str(script)], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    opened, *flags, address = done.stdout.split()
    assert (opened, address) == (browser, "http://127.0.0.1:8411/")
    assert "--kiosk" in flags


def test_without_a_browser_the_screen_says_so(tmp_path: Path) -> None:
    (tmp_path / "curl").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "curl").chmod(0o755)
    command = ["/bin/sh", str(DEPLOY / "desktop" / "eyebright-screen")]
    done = subprocess.run(command, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "no browser: install chromium or firefox\n")


INSTALLING = (REPOSITORY / "docs" / "guides" / "install-unit.md").read_text()


@pytest.mark.parametrize("line", re.findall(r"^# unit (.+)$", INSTALLING, re.MULTILINE))
def test_every_command_of_the_installers_guide_exists(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EYEBRIGHT_HOME", "/var/lib/eyebright/unit")
    parse(["edge", *shlex.split(line)])


def test_the_installers_guide_names_the_files_and_the_folders_of_the_services() -> None:
    for name in re.findall(r"/media/stick/(deploy/[\w./-]+)", INSTALLING):
        assert (REPOSITORY / name).is_file(), name
    for unit in SCREENING:
        assert f"deploy/systemd/{unit.name}" in INSTALLING
        (home,) = re.findall(r"--home (\S+)", settings(unit)["ExecStart"][0])
        assert f"EYEBRIGHT_HOME={home} " in INSTALLING
        assert settings(unit)["Environment"][0] in INSTALLING


@pytest.mark.parametrize("words", [[], ["nano"], ["tx2", "folder"], ["pc", "."]])
def test_a_wheelhouse_is_not_begun_with_a_mistake(words: list[str]) -> None:
    command = ["/bin/sh", str(DEPLOY / "wheelhouse"), *words]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_the_oldest_board_gets_a_runtime_that_the_project_allows() -> None:
    (pinned,) = re.findall(r"onnxruntime==([\d.]+)/' \"\$pins\"", (DEPLOY / "wheelhouse").read_text())
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    (wanted,) = (Requirement(one) for one in project["optional-dependencies"]["edge"] if one.startswith("onnxruntime"))
    assert wanted.specifier.contains(pinned)
    assert f"{pinned}, the newest for its C library" in INSTALLING
