"""What a library keeps on disk: the catalog, the dense and the lexical index, the manifest, the lock."""
