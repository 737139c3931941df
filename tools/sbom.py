"""Writes what the environment consists of as CycloneDX JSON: packages, versions, licences, and who needs whom.

`make sbom`, or `python tools/sbom.py [FILE]` (standard output where none is given). Read from the packages' own
metadata, so that nothing is asked of a network. The zoo's weights are listed as data, with their licences.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from explorer.writing import as_json, write_json
from explorer.zoo.registry import entries

LICENCES = "License :: "


def normal(name: str) -> str:
    """The name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def reference(name: str, version: str) -> str:
    """The package URL."""
    return f"pkg:pypi/{normal(name)}@{version}"


def licence_of(package: Distribution) -> str:
    """What a package says of its licence: an SPDX expression, else classifiers, else the first line of its text."""
    said: Any = package.metadata  # a mapping, as email's messages are
    if expression := said.get("License-Expression"):
        return str(expression)
    classifiers = [line.split(" :: ")[-1] for line in said.get_all("Classifier", []) if line.startswith(LICENCES)]
    names = [name for name in classifiers if name != "OSI Approved"]
    text = str(said.get("License") or "").strip().partition("\n")[0][:100]
    return " AND ".join(names) or text or "not stated"


def needed_by(package: Distribution) -> Iterator[str]:
    """The names of the packages that a package needs, extras left out."""
    for requirement in package.requires or ():
        if "extra ==" not in requirement and (match := re.match(r"[A-Za-z0-9._-]+", requirement)):
            yield normal(match[0])


def bill() -> dict[str, Any]:
    """The bill of materials of the environment that runs this."""
    packages = {normal(one.metadata["Name"]): one for one in distributions()}
    references = {name: reference(name, one.version) for name, one in sorted(packages.items())}
    libraries = [
        {
            "type": "library",
            "bom-ref": references[name],
            "name": packages[name].metadata["Name"],
            "version": packages[name].version,
            "purl": references[name],
            "licenses": [{"license": {"name": licence_of(packages[name])}}],
        }
        for name in references
    ]
    weights = [
        {
            "type": "machine-learning-model",
            "bom-ref": f"weights:{entry.name}",
            "name": entry.name,
            "licenses": [{"license": {"name": entry.licence}}],
            **({"hashes": [{"alg": "SHA-256", "content": entry.sha256}]} if entry.sha256 else {}),
        }
        for entry in entries()
    ]
    edges = [
        {"ref": own, "dependsOn": sorted({references[one] for one in needed_by(packages[name]) if one in references})}
        for name, own in references.items()
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "vovnet-explorer"}},
        "components": libraries + weights,
        "dependencies": edges,
    }


def main() -> None:
    """Writes the bill to the file named on the command line, or to standard output."""
    if len(sys.argv) > 1:
        write_json(bill(), Path(sys.argv[1]), indent=1)
    else:
        sys.stdout.write(as_json(bill(), indent=1))


if __name__ == "__main__":
    main()
