-- What could not be seen, and what was found out about it afterwards.

-- Times in which something could not be seen.
CREATE TABLE gaps (
    -- Never reused: readers go on from it.
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    -- 'down', 'store', 'refused', 'unreachable'.
    cause          TEXT    NOT NULL,
    -- Whose conversations; NULL is everybody's.
    application_id TEXT,
    began_at       INTEGER NOT NULL,
    -- NULL while it lasts.
    ended_at       INTEGER
) STRICT;

CREATE INDEX gaps_newest_first ON gaps (began_at DESC, id DESC);
-- One that lasts is not begun again. NULLs would be distinct.
CREATE UNIQUE INDEX gaps_lasting ON gaps (cause, coalesce(application_id, '')) WHERE ended_at IS NULL;

-- When the daemon was last seen running. One row.
CREATE TABLE heartbeat (
    -- NULL before the first start.
    beat_at INTEGER
) STRICT;

INSERT INTO heartbeat (beat_at) VALUES (NULL);

-- How far an application's calls were listed.
CREATE TABLE reconciliations (
    application_id TEXT    PRIMARY KEY,
    listed_until   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Legs as the Voice API lists them: what is left to know of a call that nobody announced.
CREATE TABLE listed_calls (
    conversation_id TEXT    NOT NULL,
    leg_id          TEXT    NOT NULL,
    application_id  TEXT    NOT NULL,
    status          TEXT,
    -- 1 when its status is one that nothing follows. A leg that is not over is listed again.
    is_over         INTEGER NOT NULL,
    direction       TEXT,
    -- "from" and "to" are words of SQL.
    caller          TEXT,
    callee          TEXT,
    -- Money as Vonage wrote it: it is not calculated with.
    rate            TEXT,
    price           TEXT,
    duration        INTEGER,
    start_time      INTEGER,
    end_time        INTEGER,
    network         TEXT,
    -- It began between these: the first list that had it was of that time.
    began_from      INTEGER NOT NULL,
    began_until     INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, leg_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX listed_calls_lasting ON listed_calls (application_id, began_from) WHERE is_over = 0;
