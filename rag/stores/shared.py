"""The manifest that all replicas of a library share, in its database."""

from __future__ import annotations

from rag.stores import manifest as manifests
from rag.stores.database import Database
from rag.stores.manifest import Manifest


def read(database: Database) -> Manifest | None:
    """The manifest of the library, None where there is none yet."""
    found = database.read("SELECT value FROM library WHERE name = 'manifest'")
    return manifests.loaded(found[0][0], database.name) if found else None


def write(database: Database, manifest: Manifest, *, replace: bool) -> Manifest:
    """Make this the manifest of the library, unless there is one and it is not to be replaced; which it is now."""
    with database.transaction() as connection:
        if not replace and (present := read(database)):
            return present
        connection.execute(
            "INSERT INTO library VALUES ('manifest', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (manifests.dumped(manifest),),
        )
    return manifest
