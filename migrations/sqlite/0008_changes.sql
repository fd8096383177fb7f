-- What those who follow along are told of, in its order; and what is counted by time.

-- The number of the newest change of a conversation. One row: it never goes down, while the conversations' own rows
-- are replaced and may be deleted.
CREATE TABLE changes (newest INTEGER NOT NULL) STRICT;

INSERT INTO changes (newest) VALUES (0);

-- The number of the last change; 0 where it was before changes were counted.
ALTER TABLE conversations ADD COLUMN change INTEGER NOT NULL DEFAULT 0;
-- SHA-256 of what readers are told: what is saved again without a change keeps its number. NULL where the row is older.
ALTER TABLE conversations ADD COLUMN fingerprint BLOB;

CREATE INDEX conversations_by_change ON conversations (change);

-- Arrivals come nearly in the order of their times: a commit adds to the end of this index, mostly to one page.
-- With the deliveries in it, counting does not read the bodies.
CREATE INDEX arrivals_by_time ON arrivals (received_at, deliveries);
