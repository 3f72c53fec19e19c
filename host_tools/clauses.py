"""docs/emv-clauses.csv: which clauses the kernel implements and which test shows it.

Columns: book (B1 to B4 or house), clause, letter, paraphrase, tests, note. A
test is ``file::name`` under tests/; several are separated by spaces.
"""

import csv
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
TABLE = ROOT / "docs" / "emv-clauses.csv"
COLUMNS = ["book", "clause", "letter", "paraphrase", "tests", "note"]


class Row:
    """One line of the table. ``tag`` is what the kernel's trace says."""

    def __init__(self, fields: dict[str, str]) -> None:
        self.tag = " ".join(
            fields[name] for name in ("book", "clause", "letter") if fields[name].strip()
        )
        self.paraphrase = fields["paraphrase"]
        self.tests = fields["tests"].split()
        self.note = fields["note"]


def read(path: Path = TABLE) -> list[Row]:
    """The rows. ValueError for wrong columns or a tag that stands twice."""
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames != COLUMNS:
            raise ValueError(f"{path.name}: columns must be {','.join(COLUMNS)}")
        rows = []
        for fields in reader:
            if None in fields or None in fields.values():
                raise ValueError(
                    f"{path.name}: line {reader.line_num}: {len(COLUMNS)} columns needed"
                )
            rows.append(Row(fields))
    tags = [row.tag for row in rows]
    for tag in tags:
        if tags.count(tag) > 1:
            raise ValueError(f"{path.name}: {tag} stands twice")
    return rows


def untested(rows: list[Row]) -> list[Row]:
    """Rows that name no test."""
    return [row for row in rows if not row.tests]


def missing_tests(rows: list[Row], root: Path = ROOT) -> list[str]:
    """ "tag: test" for each test named that does not exist."""
    found: dict[str, set[str]] = {}
    missing = []
    for row in rows:
        for test in row.tests:
            name, _, function = test.partition("::")
            if name not in found:
                path = root / "tests" / name
                text = path.read_text(encoding="utf-8") if path.is_file() else ""
                found[name] = set(re.findall(r"^(?:async )?def (test_\w+)", text, re.MULTILINE))
            if function not in found[name]:
                missing.append(f"{row.tag}: {test}")
    return missing


def tags_in_code(root: Path = ROOT) -> set[str]:
    """Clause tags that the kernel's source names in full."""
    found: set[str] = set()
    for path in sorted((root / "firmware" / "payment" / "emv").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        found.update(re.findall(r'"((?:B[1-4] [\d.]+ \w+|house \w))"', text))
        for prefix in re.findall(r'clause(?:: "str")? = "(B[1-4] [\d.]+)"', text):
            found.add(prefix)
    return found
