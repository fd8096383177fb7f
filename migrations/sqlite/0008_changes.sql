-- What those who follow along are told of, in its order.

-- The number of the newest change of a conversation. One row: it never goes down, while the conversations' own rows
-- are replaced and may be deleted.
CREATE TABLE changes (newest INTEGER NOT NULL) STRICT;

INSERT INTO changes (newest) VALUES (0);

-- The number of the last change; 0 where it was before changes were counted.
ALTER TABLE conversations ADD COLUMN change INTEGER NOT NULL DEFAULT 0;
-- SHA-256 of what readers are told: what is saved again without a change keeps its number. NULL where the row is older.
ALTER TABLE conversations ADD COLUMN fingerprint BLOB;

CREATE INDEX conversations_by_change ON conversations (change);
