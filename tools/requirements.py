"""Print the requirements of pyproject.toml for pip: `run`, or an extra's name."""

import pathlib
import sys
import tomllib


def main(what: str) -> None:
    project = tomllib.loads(pathlib.Path("pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] if what == "run" else project["optional-dependencies"][what]
    print("\n".join(wanted))


main(sys.argv[1])
