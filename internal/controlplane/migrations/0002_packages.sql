-- The files are beside the database, named after their SHA-256.

CREATE TABLE packages (
    name     TEXT    NOT NULL,
    version  TEXT    NOT NULL,
    os       TEXT    NOT NULL, -- in lower case, 'both' for any
    arch     TEXT    NOT NULL, -- in lower case, 'all' for any
    sha256   TEXT    NOT NULL UNIQUE,
    md5      TEXT    NOT NULL,
    size     INTEGER NOT NULL, -- bytes
    record   TEXT    NOT NULL, -- JSON: what config.json says, as hosts record it
    manifest TEXT    NOT NULL, -- signed, as it was given; '' for none
    uploaded INTEGER NOT NULL,
    PRIMARY KEY (name, version, os, arch)
) STRICT, WITHOUT ROWID;
