"""Every Python and shell block of README.md and of the documentation's pages, as it stands.

Blocks of a page run in their order, in one folder and with one set of variables. Commands do less work where a
line leaves it open (``LESS``), and so does Python (``LITTLE``, ``built``); both find made-up images under the
names of CIFAR. What a page marks as not executed, with the reason, is parsed: Python is compiled and its
imports looked up, commands get their options checked.
"""

import ast
import importlib
import importlib.util
import re
import shlex
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import click
import pytest
import torch
from PIL import Image

import cl_condense
from cl_condense import ConvNet, ImageSet
from cl_condense.cli.main import cli
from cl_condense.condensation.phases import Quiet
from cl_condense.condensation.recipe import Recipe
from cl_condense.data import datasets
from cl_condense.methods import condense as verb
from cl_condense.methods import economy
from cl_condense.methods.economy import ECONOMY
from cl_condense.methods.registry import BASES, COMPOSED, build

HOME = Path(__file__).parents[2]
SITE = HOME / "docs" / "site"
PAGES = [HOME / "README.md", *sorted(SITE.glob("*.md"))]

LESS = {
    "--iterations": 2,
    "--real-per-class": 4,
    "--epochs": 1,
    "--orders": 1,
    "--networks": 1,
    "--width": 4,
}
"""What options are where a line does not give them."""

LESS_OF_TABLE = {"--method": ["random", "dm"], "--real-per-class": 4, "--epochs": 1, "--width": 4}

LITTLE = ECONOMY._replace(iterations=100, real_per_class=8, quiet=Quiet(0.16, 0.1, 16), pool=2, pool_epochs=1)
"""Economy for Python: as it is, but of fewer iterations and real images."""

MADE, SIDE = 52, 16
"""Made-up images: of each class the most that a line asks for, and some; half of CIFAR's pixels a side."""

BY_CI = {'pip install -c constraints.txt -e ".[test]"', "pytest"}
"""Lines of the README that .ci/run takes from there."""


class Block(NamedTuple):
    """A fenced block: its language and text, the line that it begins on, and why it is not executed, if so."""

    language: str
    text: str
    line: int
    reason: str | None


def blocks(text):
    """The fenced blocks of a page; one without a language shows output."""
    fence = r"(?:^<!-- not executed: ([^\n]+) -->\n)?^```(\w*)\n(.*?)^```$"
    return [
        Block(found[2], found[3], text.count("\n", 0, found.start(3)) + 1, found[1])
        for found in re.finditer(fence, text, re.MULTILINE | re.DOTALL)
    ]


def commands(block):
    """The commands of a shell block, without comments."""
    lines = re.sub(r"(^|\s)#.*", "", block.text.replace("\\\n", " "), flags=re.MULTILINE)
    return [part.strip() for line in lines.splitlines() for part in line.split("&&") if part.strip()]


def made_up(name, data=None, **options):
    """Images that have CIFAR's classes; what is no CIFAR is loaded."""
    if name not in ("cifar10", "cifar100"):
        return LOAD(name, data, **options)
    classes = int(name.removeprefix("cifar"))
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (classes * MADE, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)
    labels, names = torch.arange(len(images)) % classes, [f"class {i}" for i in range(classes)]
    return ImageSet.of(images, labels, names=names), ImageSet.of(images[:200], labels[:200], names=names)


LOAD = datasets.load


def built(name, *words, **changes):
    """A method with the real images of ``LITTLE``, where none are asked for."""
    made = build(name, *words, **changes)
    less = isinstance(made, Recipe) and "real_per_class" not in changes
    return replace(made, real_per_class=LITTLE.real_per_class) if less else made


def parsed(line):
    """The context of a command's words, with less work where they leave it open.

    Raises:
        click.ClickException: for an option or a value that the command does not have.
    """
    words = shlex.split(line)[1:]
    command = cli.get_command(None, words[0])
    if command is None:
        raise click.UsageError(f"no command {words[0]}")
    less = LESS | (LESS_OF_TABLE if command.name == "table" else {})
    names = {option: param.name for param in command.params for option in param.opts}
    return command.make_context(
        words[0], words[1:], default_map={names[k]: v for k, v in less.items() if k in names}
    )


def execute(line):
    """A line of a shell block; the tool's commands are those of this process."""
    if line in BY_CI:
        return
    assert line.split()[0] == "cl-condense", f"{line}: mark the block as not executed, and say why"
    if line.split()[1].startswith("-") or line.endswith("--help"):
        assert cli.main(shlex.split(line)[1:], prog_name="cl-condense", standalone_mode=False) in (0, None)
        return
    with parsed(line) as context:
        if "--format hub" in line and find_spec("pyarrow") is None:
            return  # an extra
        assert context.command.invoke(context) in (0, None), line


def check(block):
    """What is not executed: Python that compiles and whose imports are there, commands that parse."""
    if block.language == "python":
        for node in ast.walk(ast.parse(block.text)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module)
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []
        return
    for line in commands(block):
        if shlex.split(line)[0] == "cl-condense" and not ("--ray" in line and find_spec("ray") is None):
            parsed(line)


def run(page, text):
    """All blocks of a page."""
    small = ConvNet((1, 8, 8), 10, width=4, depth=2)
    optimizer = torch.optim.SGD(small.parameters(), 0.01)
    scope = {"__name__": page, "settings": {"model": small, "optimizer": optimizer}}
    for block in blocks(text):
        if block.reason is not None:
            check(block)
        elif block.language == "python":
            code = block.text.replace("Naive(..., ", "Naive(**settings, ")  # what everyone has of their own
            exec(compile("\n" * (block.line - 1) + code, page, "exec"), scope)
        elif block.language == "sh":
            for line in commands(block):
                execute(line)


def photos(folder):
    """Photos of two classes, each of its own size: of a class the ten that the README asks for, and some."""
    for label, name in enumerate(("cat", "dog")):
        (folder / name).mkdir(parents=True)
        for i in range(13):
            Image.new("RGB", (64 + 3 * i, 90 - 2 * i), (20 * i, 200 * label, 99)).save(
                folder / name / f"{i}.jpg"
            )


@pytest.fixture(autouse=True)
def in_a_folder_with_photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photos(tmp_path / "photos")
    monkeypatch.setattr(datasets, "load", made_up)
    monkeypatch.setattr(economy, "ECONOMY", LITTLE)
    monkeypatch.setattr(verb, "build", built)


@pytest.mark.parametrize(
    "path", [pytest.param(PAGES[0], marks=pytest.mark.slow), *PAGES[1:]], ids=lambda p: p.name
)
@pytest.mark.filterwarnings("ignore:no published settings")
def test_every_block_of_a_page_runs(path):
    run(str(path), path.read_text())


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_fence_says_what_it_is(path):
    text = path.read_text()
    assert {block.language for block in blocks(text)} <= {"python", "sh", ""}
    assert 2 * len(blocks(text)) == len(re.findall(r"^\s*```", text, re.MULTILINE))
    assert len(re.findall("<!-- not executed", text)) == sum(block.reason is not None for block in blocks(text))


@pytest.mark.parametrize(
    "text",
    [
        "```sh\ncl-condense run --stpes 2\n```",
        "```sh\ncl-condense rum\n```",
        "```sh\ncl-condense methods ddmm\n```",
        "```sh\npip install nothing\n```",
        "<!-- not executed: slow -->\n```sh\ncl-condense run --stpes 2\n```",
        "<!-- not executed: slow -->\n```python\nfrom cl_condense import condens\n```",
        "<!-- not executed: slow -->\n```python\nload(\n```",
        "```python\nx = 1\n```\n\n```python\nassert x == 2\n```",
    ],
)
def test_a_page_that_is_wrong_is_found(text):
    with pytest.raises((AssertionError, ValueError, SyntaxError, click.ClickException)):
        run("page.md", text + "\n")


def test_what_ci_runs_is_in_its_script():
    script = (HOME / ".ci" / "run").read_text()
    assert all(f"readme '{' '.join(line.split()[:2])}'" in script for line in BY_CI)


def test_the_reference_has_every_public_name_once():
    names = re.findall(r"^::: cl_condense\.(\w+)$", (SITE / "api.md").read_text(), re.MULTILINE)
    assert sorted(names) == sorted(cl_condense.__all__)


def test_every_method_is_in_the_table_to_choose_from():
    rows = re.findall(r"^\| (`.*?`) \|", (SITE / "choose.md").read_text(), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == {*BASES, *COMPOSED}


def test_the_table_of_what_was_measured_is_the_records():
    spec = importlib.util.spec_from_file_location("site_hooks", HOME / "docs" / "site_hooks.py")
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    page = hooks.on_page_markdown("a\n<!-- methods: digits-2-all -->\nb\n", None, None, None)
    table = dict(re.findall(r"^\| `(\w+)` \|.*\| ([^|]+) \| [^|]+ \| [^|]+ \|$", page, re.MULTILINE))
    assert table.keys() == {*BASES, *COMPOSED}
    measured = (HOME / "REPRODUCIBILITY.md").read_text().split("\n## Every method on digits")[1]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", measured.split("\n## ")[0], re.MULTILINE))
    assert {name: last for name, last in table.items() if last != "-"} == rows


def test_the_version_is_the_same_everywhere():
    citation = re.findall(r"^version: (.+)$", (HOME / "CITATION.cff").read_text(), re.MULTILINE)
    changelog = re.findall(r"^## (\S+)", (HOME / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert [*citation, changelog[0]] == [cl_condense.__version__] * 2


def test_forms_and_workflows_are_yaml_and_a_form_has_what_it_needs():
    yaml = pytest.importorskip("yaml")
    read = {path: yaml.safe_load(path.read_text()) for path in sorted((HOME / ".github").rglob("*.yml"))}
    forms = [form for path, form in read.items() if path.parent.name == "ISSUE_TEMPLATE" and "body" in form]
    assert len(forms) == 3
    for form in forms:
        assert {"name", "description", "body"} <= form.keys()
        ids = [field["id"] for field in form["body"]]
        assert len(ids) == len(set(ids))
    for path in (HOME / "CITATION.cff", HOME / ".pre-commit-config.yaml"):
        assert isinstance(yaml.safe_load(path.read_text()), dict)


def test_the_minimal_versions_are_those_that_the_package_asks_for():
    asked = re.findall(r'^    "([\w-]+)>=([\d.]+)', (HOME / "pyproject.toml").read_text(), re.MULTILINE)
    lowest = re.findall(r"^([\w-]+)==([\d.]+)$", (HOME / "constraints-minimal.txt").read_text(), re.MULTILINE)
    listed = {name: version for name, version in lowest if name != "pytest"}
    assert listed.keys() == dict(asked).keys()
    for name, version in asked:
        assert re.fullmatch(rf"{re.escape(version)}(\.0)*", listed[name]), name
