"""Compares what is in wheels and sdists with the files of the repository.

    python .ci/contents.py dist/*

A wheel has every file of cl_condense/ and strategies/ that git knows, once, and nothing else but its metadata;
an sdist has what its wheel is made of.
"""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

HOME = Path(__file__).parents[1]
BUILDING = {"pyproject.toml", "setup.py", "README.md", "LICENSE"}
METADATA = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE", "top_level.txt"}


def expected() -> dict[str, str]:
    """The package's files in the repository, by their names in a wheel."""
    command = ["git", "ls-files", "-z", "cl_condense", "strategies"]
    listed = subprocess.run(command, cwd=HOME, capture_output=True, text=True, check=True).stdout
    files = [name for name in listed.split("\0") if name and not (HOME / name).is_symlink()]
    return {f"cl_condense/{name}" if name.startswith("strategies/") else name: name for name in files}


def in_wheel(path: Path) -> tuple[set[str], set[str]]:
    """Names in a wheel, and those that it should have."""
    names = zipfile.ZipFile(path).namelist()
    assert len(names) == len(set(names)), f"{path}: a name comes twice"
    info = next(name.split("/")[0] for name in names if ".dist-info/" in name)
    return set(names), expected().keys() | {f"{info}/{name}" for name in METADATA}


def in_sdist(path: Path) -> tuple[set[str], set[str]]:
    """Names in an sdist below its folder, without setuptools' own, and those that it should have."""
    with tarfile.open(path) as archive:
        files = [each for each in archive.getmembers() if not each.isdir()]
    assert all(each.isfile() for each in files), f"{path}: a link"
    names = {str(PurePosixPath(*PurePosixPath(each.name).parts[1:])) for each in files}
    own = {name for name in names if name in ("PKG-INFO", "setup.cfg") or ".egg-info/" in name}
    return names - own, set(expected().values()) | BUILDING


def main() -> None:
    """Ends with exit code 1 where something is missing or too much."""
    faults = []
    for path in map(Path, sys.argv[1:]):
        there, wanted = in_wheel(path) if path.suffix == ".whl" else in_sdist(path)
        faults += [f"{path} lacks {name}" for name in sorted(wanted - there)]
        faults += [f"{path} has {name}" for name in sorted(there - wanted)]
        print(f"{path.name}: {len(there)} files")
    sys.exit("\n".join(faults) or None)


if __name__ == "__main__":
    main()
