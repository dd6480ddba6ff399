-- Times are milliseconds since 1970-01-01 UTC. A used invitation is gone.
CREATE TABLE invitations (
    hash       BLOB    NOT NULL PRIMARY KEY,  -- BLAKE3 of the code
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
