-- When a token was last used, to the day; one that was not used for TOKEN_LIFETIME_MS is worthless.
ALTER TABLE tokens ADD COLUMN used_at INTEGER NOT NULL DEFAULT 0;
UPDATE tokens SET used_at = created_at;
