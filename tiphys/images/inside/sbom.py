"""Write what an image holds, as CycloneDX: ``python -m tiphys.images.inside.sbom NAME FOLDER``.

Debian's packages from what dpkg keeps, Python's from their own metadata, jars from theirs. Needs the library
``cyclonedx-python-lib``; nothing is fetched, so a licence or a digest that nobody wrote down is left out.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
import sys
import zipfile
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from tiphys.images.inside.packages import stanzas
from tiphys.images.inside.times import settle
from tiphys.locks import sections

ENVIRONMENTS = (Path("/opt/venv"), Path("/delta/opt/venv"))
"""The environment, and what a step adds to one that it shares."""
FILE = "sbom.cdx.json"

License = DisjunctiveLicense | LicenseExpression


def main(name: str, target: Path) -> int:
    """Write the file; the environments, dpkg's lists (``debian/``) and ``requirements.txt`` are where a build has them."""
    bom = Bom()
    bom.metadata.component = Component(name=f"tiphys/{name}", bom_ref=f"tiphys/{name}", type=ComponentType.CONTAINER)
    seen: dict[str, Component] = {}
    for environment in ENVIRONMENTS:
        for each in (*python(environment, Path("requirements.txt")), *jars(environment)):
            seen.setdefault(str(each.purl), each)
    for each in debian(Path("debian")):
        seen.setdefault(str(each.purl), each)
    bom.components.update(seen.values())
    bom.register_dependency(bom.metadata.component, seen.values())
    target.mkdir(parents=True, exist_ok=True)
    (target / FILE).write_text(_timeless(JsonV1Dot6(bom).output_as_string()), encoding="utf-8")
    settle(target)
    return 0


def debian(folder: Path) -> Iterator[Component]:
    """The packages of dpkg's ``status`` and of each file of ``status.d``."""
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        for name, text in stanzas(path.read_text(encoding="utf-8")).items():
            fields = HeaderParser().parsestr(text)
            version, arch = fields["Version"], fields["Architecture"]
            purl = PackageURL("deb", "debian", name, version, {"arch": arch, "distro": "debian-12"})
            yield Component(name=name, version=version, purl=purl, bom_ref=str(purl), type=ComponentType.LIBRARY)


def python(environment: Path, requirements: Path) -> Iterator[Component]:
    """Each distribution of the environment, with its licence and the digests that the lock allows."""
    locked = sections(requirements)
    for folder in environment.glob("lib/python3.*/site-packages"):
        for each in importlib.metadata.distributions(path=[str(folder)]):
            name = re.sub(r"[-_.]+", "-", each.name).lower()
            purl = PackageURL("pypi", None, name, each.version)
            digests = re.findall(r"--hash=sha256:([0-9a-f]{64})", locked.get(name, ""))
            # A lock lists the digests of all files of a version; only where there is one is it that of what is here.
            hashes = [HashType(alg=HashAlgorithm.SHA_256, content=digests[0])] if len(digests) == 1 else []
            yield Component(
                name=name, version=each.version, purl=purl, bom_ref=str(purl), type=ComponentType.LIBRARY,
                licenses=_licences(each.metadata), hashes=hashes,
            )  # fmt: skip


def jars(environment: Path) -> Iterator[Component]:
    """Each jar of Spark, by its own Maven coordinates where it has them, with its digest."""
    for path in sorted(environment.glob("lib/python3.*/site-packages/pyspark/jars/*.jar")):
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        group, name, version = _coordinates(path)
        purl = PackageURL("maven", group, name, version)
        hashes = [HashType(alg=HashAlgorithm.SHA_256, content=digest)]
        yield Component(
            name=name,
            group=group,
            version=version,
            purl=purl,
            bom_ref=str(purl),
            type=ComponentType.LIBRARY,
            hashes=hashes,
        )


def _timeless(text: str) -> str:
    """Neither the hour nor a random number: the same content must give the same file, so that layers stay."""
    told = json.loads(text)
    del told["metadata"]["timestamp"], told["serialNumber"]
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    told["serialNumber"] = f"urn:uuid:{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"
    return json.dumps(told, indent=1, sort_keys=True) + "\n"


def _coordinates(path: Path) -> tuple[str, str, str]:
    with zipfile.ZipFile(path) as jar:
        told = [each for each in jar.namelist() if re.fullmatch(r"META-INF/maven/[^/]+/[^/]+/pom.properties", each)]
        text = jar.read(told[0]).decode(errors="replace") if len(told) == 1 else ""
    fields = dict(line.strip().split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    stem = re.fullmatch(r"(.+?)-(\d[\w.+-]*)", path.stem)
    name, version = stem.groups() if stem else (path.stem, "")
    return fields.get("groupId", ""), fields.get("artifactId", name), fields.get("version", version)


def _licences(metadata: importlib.metadata.PackageMetadata) -> list[License]:
    """What the package says: its SPDX expression, else its classifiers, else a short text."""
    make = LicenseFactory()
    fields = metadata.json
    if expression := fields.get("license_expression"):
        return [make.make_from_string(str(expression))]
    classifiers = [
        str(each).rpartition(" :: ")[2] for each in fields.get("classifier", []) if str(each).startswith("License ::")
    ]
    if classifiers:
        return [make.make_with_name(each) for each in classifiers]
    text = str(fields.get("license", "")).strip()
    return [make.make_from_string(text)] if text and len(text) < 60 and "\n" not in text else []  # noqa: PLR2004


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
