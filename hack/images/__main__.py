"""python -m hack.images build [server|operator|all]."""

from __future__ import annotations

import argparse
import sys

from hack.background import DidNotStart
from hack.images.build import DEVELOPMENT_TAG, build
from hack.images.engines import BuildFailed
from hack.images.inputs import IMAGES, InputMissing
from hack.packages import PackagesMissing
from hack.registry import ADDRESS, ManifestMissing

ERRORS = (PackagesMissing, BuildFailed, InputMissing, ManifestMissing, DidNotStart)


def report(name: str) -> None:
    pushed = build(name)
    what = "built and pushed" if pushed.built else "unchanged"
    print(f"{name}: {what} in {pushed.seconds:.1f} s")
    print(f"  {ADDRESS}/{IMAGES[name].repository}:{DEVELOPMENT_TAG}")
    print(f"  {pushed.reference}")
    print(f"  {pushed.digest}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m hack.images", description=__doc__)
    parser.add_argument("command", choices=["build"])
    parser.add_argument("image", nargs="?", default="all", choices=[*IMAGES, "all"])
    arguments = parser.parse_args()
    try:
        for name in IMAGES if arguments.image == "all" else [arguments.image]:
            report(name)
    except ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
