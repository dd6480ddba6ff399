-- What an account may use and uses. Used: the sum over its rows in `files`. NULL: no limit.
ALTER TABLE accounts ADD COLUMN disabled   INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN bytes_max  INTEGER;
ALTER TABLE accounts ADD COLUMN files_max  INTEGER;
ALTER TABLE accounts ADD COLUMN bytes_used INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN files_used INTEGER NOT NULL DEFAULT 0;

-- What is known of a file: its digest, and that it is counted. The file system says which files there are.
-- A row whose size or time does not fit its file is no evidence of damage: somebody wrote into the file.
CREATE TABLE files (
    user     TEXT    NOT NULL REFERENCES accounts (user) ON DELETE CASCADE,
    inode    INTEGER NOT NULL,
    born     INTEGER NOT NULL,  -- when the inode came to be, in ns since 1970-01-01 UTC; 0 where nobody knows
    size     INTEGER NOT NULL,  -- in bytes
    modified INTEGER NOT NULL,  -- in ns since 1970-01-01 UTC
    digest   BLOB    NOT NULL,  -- BLAKE3
    path     TEXT    NOT NULL,  -- where it was when the row was written; for people, since directories are renamed
    PRIMARY KEY (user, inode)
) STRICT, WITHOUT ROWID;
