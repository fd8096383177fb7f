-- What webhooks were replied to with, as far as a reply said anything. Append-only: a call that asks twice is
-- replied to twice.
CREATE TABLE replies (
    number          INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The digest of the arrival. No foreign key: a call is replied to even where its webhook could not be stored.
    arrival         BLOB    NOT NULL,
    endpoint        TEXT    NOT NULL,
    conversation_id TEXT,
    -- Only the reply to a transfer has it: the webhook is told of in both conversations.
    transferred_to  TEXT,
    leg_id          TEXT,
    replied_at      INTEGER NOT NULL,
    -- 'file', 'forward', or 'substitute' where the application behind was asked and failed.
    source          TEXT    NOT NULL,
    -- NULL where the application behind was not asked; the status also where it did not answer.
    upstream_status INTEGER,
    upstream_ms     INTEGER,
    -- Why its reply was not passed back.
    trouble         TEXT,
    -- The NCCO; NULL where the body was empty. Calls share a few: each is stored once.
    document_id     INTEGER REFERENCES documents (id)
) STRICT;

CREATE INDEX replies_by_conversation ON replies (conversation_id) WHERE conversation_id IS NOT NULL;
CREATE INDEX replies_by_destination ON replies (transferred_to) WHERE transferred_to IS NOT NULL;
CREATE INDEX replies_by_document ON replies (document_id) WHERE document_id IS NOT NULL;
