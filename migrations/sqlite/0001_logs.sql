-- The two logs, and what is owed. Instants are microseconds since 1970, UTC.

-- Webhooks as received. Append-only: a row changes only to count redeliveries.
CREATE TABLE arrivals (
    -- Never reused, even after retention has deleted the newest rows: readers resume from it.
    number           INTEGER PRIMARY KEY AUTOINCREMENT,
    -- SHA-256 of what makes two deliveries one event: endpoint, method, application, origin, query
    -- and body.
    digest           BLOB    NOT NULL,
    -- Vonage's time, 0 where it is not part of what makes the event. It comes first in the unique key and makes
    -- the events of one moment neighbours: a commit touches a few pages of that index, not one for each event.
    moment           INTEGER NOT NULL,
    endpoint         TEXT    NOT NULL,
    method           TEXT    NOT NULL,
    -- All of a GET webhook is in its query string, kept undecoded.
    query            TEXT,
    -- The query without the repetitions of parameters that the signature does not cover; NULL where that is all of it.
    covered_query    TEXT,
    content_type     TEXT,
    body             BLOB    NOT NULL,
    application_id   TEXT,
    -- 'signed', or 'unverified' where signatures are switched off.
    origin           TEXT    NOT NULL,
    kind             TEXT    NOT NULL,
    -- NULL where the webhook names none, as an object of an unknown kind may.
    conversation_id  TEXT,
    -- Only a transfer has it: the leg is told of in both conversations.
    transferred_to   TEXT,
    -- Vonage's own time; NULL where the webhook has none.
    occurred_at      INTEGER,
    -- The region that an answer webhook names, as a host.
    region           TEXT,
    -- Only a fallback webhook has it.
    fallback_reason  TEXT,
    received_at      INTEGER NOT NULL,
    deliveries       INTEGER NOT NULL DEFAULT 1,
    last_received_at INTEGER NOT NULL,
    UNIQUE (moment, digest)
) STRICT;

-- How far the log has been followed. One row.
CREATE TABLE progress (
    -- Up to which arrival each is posted: has its mentions, and the look that it asks for. What lies beyond is
    -- owed all the same, by being in the log.
    posted  INTEGER NOT NULL,
    -- Up to which arrival the derived tables have followed.
    derived INTEGER NOT NULL
) STRICT;

INSERT INTO progress (posted, derived) VALUES (0, 0);

-- Which arrivals speak of a conversation, as far as they are posted. A webhook's reply waits for the log alone:
-- an index of the log by conversation would make each commit write a page for almost every webhook in it.
CREATE TABLE mentions (
    conversation_id TEXT    NOT NULL,
    number          INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, number)
) STRICT, WITHOUT ROWID;

-- What is not posted yet: one row for each conversation that an arrival speaks of.
CREATE VIEW unposted AS
    SELECT number, conversation_id, application_id, kind, region, received_at FROM arrivals
    WHERE number > (SELECT posted FROM progress) AND conversation_id IS NOT NULL
    UNION ALL
    SELECT number, transferred_to, application_id, kind, region, received_at FROM arrivals
    WHERE number > (SELECT posted FROM progress) AND transferred_to IS NOT NULL
        AND transferred_to IS NOT conversation_id;

-- One row for each conversation that was heard of: the look that is owed, and how the tries went.
CREATE TABLE fetches (
    conversation_id      TEXT    PRIMARY KEY,
    application_id       TEXT,
    -- The host to ask first, without a scheme; NULL is the configured one.
    region               TEXT,
    -- NULL when nothing is owed.
    due_at               INTEGER,
    -- How urgent the next look is, apart from never having had one that succeeded: 1 the last after the end of a
    -- leg, 2 something was heard, 3 a poll.
    urgency              INTEGER NOT NULL DEFAULT 3,
    -- Set while somebody looks. In the store and not in memory, so that several daemons could share it.
    leased_until         INTEGER,
    -- Counts arrivals. A look that ends with another count than it began with is owed again.
    asked                INTEGER NOT NULL DEFAULT 1,
    failures             INTEGER NOT NULL DEFAULT 0,
    failing_since        INTEGER,
    trouble              TEXT,
    gone_at              INTEGER,
    gave_up_at           INTEGER,
    -- Counts looks. The derived row was made from so many of them and from the log up to that arrival: an older
    -- interpretation does not replace a newer one.
    looks                INTEGER NOT NULL DEFAULT 0,
    interpreted_looks    INTEGER NOT NULL DEFAULT 0,
    interpreted_arrival  INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE INDEX fetches_by_due ON fetches (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX fetches_looked_at ON fetches (conversation_id) WHERE looks > interpreted_looks;

-- Versions of a conversation. Append-only: a row changes only to move its last confirmation.
CREATE TABLE snapshots (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation_id TEXT    NOT NULL,
    -- Counted from 1 in each conversation.
    number          INTEGER NOT NULL,
    taken_at        INTEGER NOT NULL,
    confirmed_at    INTEGER NOT NULL,
    -- The path family that answered; the shape of the documents depends on it.
    family          TEXT    NOT NULL,
    -- Vonage's count of the conversation's events; NULL where an answer had none.
    sequence_number INTEGER,
    -- The newest event of the conversation that was read, here or before; NULL where its list was not read.
    last_event_id   INTEGER,
    -- The host that answered; NULL is the configured one.
    region          TEXT,
    UNIQUE (conversation_id, number)
) STRICT;

-- Vonage's answers, each stored once however many versions hold it.
CREATE TABLE documents (
    id     INTEGER PRIMARY KEY,
    -- SHA-256 of the uncompressed body.
    digest BLOB    NOT NULL UNIQUE,
    -- Uncompressed length in bytes.
    size   INTEGER NOT NULL,
    -- zstd.
    body   BLOB    NOT NULL
) STRICT;

CREATE TABLE snapshot_documents (
    snapshot_id INTEGER NOT NULL REFERENCES snapshots (id) ON DELETE CASCADE,
    -- The order in which Vonage was asked.
    position    INTEGER NOT NULL,
    -- Which answer: 'conversation', 'members page 1', 'member MEM-…'.
    name        TEXT    NOT NULL,
    document_id INTEGER NOT NULL REFERENCES documents (id),
    PRIMARY KEY (snapshot_id, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX snapshot_documents_by_document ON snapshot_documents (document_id);
