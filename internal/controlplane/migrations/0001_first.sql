-- Times are Unix milliseconds, intervals and timeouts whole seconds.

CREATE TABLE hosts (
    id          TEXT    NOT NULL PRIMARY KEY,
    address     TEXT    NOT NULL,
    agent       TEXT    NOT NULL,
    first_heard INTEGER NOT NULL,
    last_heard  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE plugins (
    host     TEXT    NOT NULL REFERENCES hosts (id) ON DELETE CASCADE,
    name     TEXT    NOT NULL,
    version  TEXT    NOT NULL,
    status   TEXT    NOT NULL,
    since    INTEGER NOT NULL, -- when this version came to this status
    reported INTEGER NOT NULL,
    PRIMARY KEY (host, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE changes (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    host        TEXT    NOT NULL,
    plugin      TEXT    NOT NULL,
    version     TEXT    NOT NULL,
    status      TEXT    NOT NULL,
    was_version TEXT, -- NULL with was_status: reported for the first time
    was_status  TEXT,
    at          INTEGER NOT NULL,
    FOREIGN KEY (host, plugin) REFERENCES plugins (host, name) ON DELETE CASCADE
) STRICT;

CREATE INDEX changes_of_plugin ON changes (host, plugin, id);

CREATE TABLE events (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    host     TEXT    NOT NULL REFERENCES hosts (id) ON DELETE CASCADE,
    event    TEXT    NOT NULL,
    level    TEXT    NOT NULL,
    keywords TEXT    NOT NULL,
    at       INTEGER NOT NULL, -- by the host's clock
    received INTEGER NOT NULL
) STRICT;

CREATE INDEX events_of_host ON events (host, id);

CREATE TABLE offers (
    name    TEXT    NOT NULL,
    host    TEXT    NOT NULL, -- '' is every host; may be set before the host first reports
    version TEXT    NOT NULL,
    timeout INTEGER NOT NULL,
    made    INTEGER NOT NULL,
    PRIMARY KEY (name, host)
) STRICT, WITHOUT ROWID;

CREATE TABLE settings (
    id               INTEGER PRIMARY KEY CHECK (id = 1),
    scan_interval    INTEGER NOT NULL,
    pull_interval    INTEGER NOT NULL,
    refresh_interval INTEGER NOT NULL,
    update_interval  INTEGER NOT NULL,
    lazy             INTEGER NOT NULL
) STRICT;

INSERT INTO settings VALUES (1, 0, 0, 0, 0, 0);
