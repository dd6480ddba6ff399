-- Finds files by their size, and by size and digest: content that need not be sent again. Only those that are long enough
-- to be worth it: the index stays small, and small files do not pay for it.
CREATE INDEX files_by_content ON files (user, size, digest) WHERE size >= 1048576;
