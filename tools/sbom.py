"""Writes a software bill of materials as CycloneDX JSON: packages, versions, licences and dependencies.

`make sbom`, or `python tools/sbom.py [FILE]` (by default standard output). Only the metadata of installed packages is
read; no network is needed. The weights of the zoo, the bundled photographs, and the data sets on which bundled weights
were trained and evaluated (which are not bundled) are listed with their licences.
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
BUNDLED = {
    "blood-cells.jpg": ("MIT", "BCCD, Copyright (c) 2017 shenggan"),
    "munich-avenue.jpg": ("CC BY 3.0", "KIT AIS Data Set, Karlsruhe Institute of Technology"),
    "munich-street.jpg": ("CC BY 3.0", "KIT AIS Data Set, Karlsruhe Institute of Technology"),
}
"""Licence and source of the photographs that the package ships; their texts lie beside them."""
TRAINED_ON = {
    "aerial": ("Apache-2.0", "scenes that `explorer data make aerial` draws"),
    "bccd": ("MIT", "BCCD, blood cells under the microscope, Copyright (c) 2017 shenggan"),
    "aerial-real": ("CC BY 3.0 AND CC BY-SA", "aerial-cars-dataset: KIT AIS Data Set (CC BY 3.0) and Minsk (CC BY-SA)"),
}
"""Licence and source of the data behind bundled weights, by the folder of their configs; none but scenes is shipped."""


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
    photographs = [_data(f"photograph:{name}", name, *BUNDLED[name]) for name in sorted(BUNDLED)]
    used = sorted({entry.config.split("/")[0] for entry in entries() if entry.card and entry.config})
    sets = [_data(f"data:{name}", name, *TRAINED_ON[name]) for name in used]
    edges = [
        {"ref": own, "dependsOn": sorted({references[one] for one in needed_by(packages[name]) if one in references})}
        for name, own in references.items()
    ]
    trained = [
        {"ref": f"weights:{entry.name}", "dependsOn": [f"data:{entry.config.split('/')[0]}"]}
        for entry in entries()
        if entry.card and entry.config
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "vovnet-explorer"}},
        "components": libraries + weights + photographs + sets,
        "dependencies": edges + trained,
    }


def _data(reference: str, name: str, licence: str, source: str) -> dict[str, Any]:
    described = {"type": "data", "bom-ref": reference, "name": name, "description": source}
    return described | {"licenses": [{"license": {"name": licence}}]}


def main() -> None:
    """Writes the bill to the file named on the command line, or to standard output."""
    if len(sys.argv) > 1:
        write_json(bill(), Path(sys.argv[1]), indent=1)
    else:
        sys.stdout.write(as_json(bill(), indent=1))


if __name__ == "__main__":
    main()
