"""Results of tests as pytest writes them: JUnit XML."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from .paths import ROOT


def failed(path: Path) -> Iterator[str]:
    """The tests that failed, as pytest is asked for them."""
    for case in ET.parse(path).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            yield name_of(case)


def name_of(case: ET.Element) -> str:
    """File, classes and name of a test, with pytest's double colons between them."""
    parts = case.get("classname", "").split(".")
    last = next((n for n in range(len(parts), 0, -1) if _file(parts[:n]).exists()), len(parts))
    file = _file(parts[:last]).relative_to(ROOT).as_posix()
    return "::".join([file, *parts[last:], case.get("name", "")])


def _file(parts: list[str]) -> Path:
    return ROOT.joinpath(*parts).with_suffix(".py")


def replace(path: Path, newer: Path) -> None:
    """The tests in ``newer`` take the places of the same ones in ``path``."""
    tree = ET.parse(path)
    again = {name_of(case): case for case in ET.parse(newer).iter("testcase")}
    for suite in tree.iter("testsuite"):
        for place, case in enumerate(list(suite)):
            if case.tag == "testcase":
                suite[place] = again.get(name_of(case), case)
    tree.write(path, encoding="utf-8", xml_declaration=True)
