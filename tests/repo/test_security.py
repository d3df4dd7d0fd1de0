"""What must not stand anywhere in the sources, and who says that a server may do without credentials."""

from __future__ import annotations

import ast
import re
import tomllib

import pytest
import yaml
from tests.repo.test_repository import ROOT, SERVERS, named, tracked

from proofload_servers.serving import arguments

UNPICKLING = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
"""Modules that run what they read."""
READING = {"read_pickle", "to_pickle", "unsafe_load", "full_load"}


def unpickles(tree: ast.AST) -> list[str]:
    """What in a module reads objects from bytes, by their names."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.partition(".")[0] in UNPICKLING]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in UNPICKLING:
            found.append(str(node.module))
        elif isinstance(node, ast.Attribute) and node.attr in READING:
            found.append(node.attr)
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            if not (isinstance(node.value, ast.Constant) and node.value.value is False):
                found.append("allow_pickle")
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"torch.load", "yaml.load"}:
            found.append(ast.unparse(node.func))
    return found


def test_nothing_is_ever_unpickled() -> None:
    found = {
        named(path): wrong
        for path in tracked()
        if path.suffix == ".py" and (wrong := unpickles(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert found == {}


@pytest.mark.parametrize(
    "source", ["import pickle", "from joblib import load", "np.load(f, allow_pickle=True)", "pd.read_pickle(f)"]
)
def test_the_search_finds_what_it_looks_for(source: str) -> None:
    assert unpickles(ast.parse(source))


def test_no_flag_of_a_server_takes_a_secret() -> None:
    actions = arguments("any", "")._actions
    flags = {flag for action in actions for flag in action.option_strings}
    secret = {flag for flag in flags if re.search(r"key|token|secret|passw|credential", flag)}
    assert secret == {"--api-keys-file", "--jwt-key-file"}, "files; what is in them has no flag"


def test_whoever_listens_everywhere_without_credentials_says_so() -> None:
    for path in SERVERS.glob("*/target.toml"):
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        for table in ("start", "container"):
            command = tables.get(table, {}).get("command", [])
            if "0.0.0.0" in command:
                assert "--allow-unauthenticated" in command, named(path)
    for name in ("Dockerfile", "Dockerfile.gpu"):
        text = (ROOT / "reference_servers" / name).read_text(encoding="utf-8")
        assert ("PROOFLOAD_HOST=0.0.0.0" in text) == ("PROOFLOAD_ALLOW_UNAUTHENTICATED=1" in text)
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    servers = [one for one in compose.values() if one["image"].startswith("proofload-servers:")]
    assert servers
    for one in servers:
        assert one["environment"]["PROOFLOAD_ALLOW_UNAUTHENTICATED"] == "1"
        assert all(port.startswith("127.0.0.1:") for port in one["ports"])


def test_the_page_tells_every_flag_about_security() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    flags = set(re.findall(r'flag\("(--[a-z-]+)"', _security_part())) | {"--guard-metrics", "--allow-unauthenticated"}
    assert len(flags) > 10
    assert {flag for flag in flags if f"`{flag}" not in page} == set()


def _security_part() -> str:
    source = (SERVERS / "serving" / "settings.py").read_text(encoding="utf-8")
    return source[source.index("def _add_security_flags") : source.index("class _PlantFault")]
