-- Times are milliseconds since 1970-01-01 UTC.
CREATE TABLE accounts (
    user          TEXT    NOT NULL PRIMARY KEY,
    password_hash TEXT    NOT NULL,  -- PHC string
    created_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
    hash       BLOB    NOT NULL PRIMARY KEY,  -- BLAKE3 of the token: the token itself is nowhere on the server
    user       TEXT    NOT NULL REFERENCES accounts (user) ON DELETE CASCADE,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX tokens_of_user ON tokens (user);
