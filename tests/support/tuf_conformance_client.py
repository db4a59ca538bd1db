#!/usr/bin/env python
"""A client under test for the public tuf-conformance suite, over the very core that units update with.

    tuf_conformance_client.py --metadata-dir DIR init TRUSTED_ROOT
    tuf_conformance_client.py --metadata-dir DIR --metadata-url URL refresh
    tuf_conformance_client.py --metadata-dir DIR --metadata-url URL --target-name NAME --target-base-url URL \
        --target-dir DIR download

The suite's protocol: exit code 0 or 1, trusted metadata in DIR under names without versions. Nothing is decided here:
``UpdateClient`` verifies and ``HttpFetcher``, the transport of the static web server, fetches.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from urllib.parse import quote

from eyebright_common.errors import EyebrightError
from eyebright_common.trust import HttpFetcher, UpdateClient


def main() -> int:
    """Run one command; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--metadata-dir", type=Path, required=True)
    parser.add_argument("--metadata-url")
    parser.add_argument("--target-name")
    parser.add_argument("--target-base-url")
    parser.add_argument("--target-dir", type=Path)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("init").add_argument("trusted_root", type=Path)
    commands.add_parser("refresh")
    commands.add_parser("download")
    given = parser.parse_args()
    try:
        if given.command == "init":
            given.metadata_dir.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(given.trusted_root, given.metadata_dir / "root.json")
            return 0
        # The newest trusted root is where trust begins: for a fresh client that is the one of `init`.
        bootstrap = (given.metadata_dir / "root.json").read_bytes()
        where = {"metadata_url": given.metadata_url, "targets_url": given.target_base_url or given.metadata_url}
        with HttpFetcher(given.metadata_url, **where) as web:
            client = UpdateClient(given.metadata_dir, web, bootstrap, metadata_dir=given.metadata_dir)
            client.refresh()
            if given.command == "download":
                client.download_target(given.target_name, given.target_dir / quote(given.target_name, safe=""))
    except (EyebrightError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
