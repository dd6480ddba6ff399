-- Finds a file by its content, for uploads that need not travel: only those that are long enough to be worth it.
CREATE INDEX files_by_digest ON files (user, digest) WHERE size >= 1048576;
