-- What is understood of the logs. Every row here may be thrown away and made again.

CREATE TABLE conversations (
    id              TEXT    PRIMARY KEY,
    name            TEXT,
    application_id  TEXT,
    capture_state   TEXT    NOT NULL,
    capture_reason  TEXT,
    snapshots       INTEGER NOT NULL,
    first_at        INTEGER,
    last_at         INTEGER,
    direction       TEXT,
    -- "from" and "to" are words of SQL.
    caller          TEXT,
    callee          TEXT,
    started_at      INTEGER,
    answered_at     INTEGER,
    ended_at        INTEGER,
    -- From when on it counts as ended: NULL while it goes on, 0 when it is over for certain, and an instant
    -- when only more news before it would show that it goes on.
    over_from       INTEGER,
    duration        INTEGER,
    -- Money as Vonage wrote it: it is not calculated with.
    price           TEXT,
    status          TEXT,
    latest_snapshot INTEGER,
    -- What lists are ordered by: the start, or the first news where no start is known. Never NULL.
    listed_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX conversations_newest_first ON conversations (listed_at DESC, id DESC);

CREATE TABLE members (
    conversation_id TEXT    NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    position        INTEGER NOT NULL,
    id              TEXT    NOT NULL,
    user_id         TEXT,
    name            TEXT,
    state           TEXT,
    -- 0 where Vonage told nothing of how the member is connected.
    has_channel     INTEGER NOT NULL,
    channel_type    TEXT,
    channel_leg_id  TEXT,
    caller          TEXT,
    callee          TEXT,
    PRIMARY KEY (conversation_id, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX members_by_id ON members (id);

CREATE TABLE member_legs (
    conversation_id TEXT    NOT NULL,
    member_position INTEGER NOT NULL,
    position        INTEGER NOT NULL,
    leg_id          TEXT    NOT NULL,
    PRIMARY KEY (conversation_id, member_position, position),
    FOREIGN KEY (conversation_id, member_position) REFERENCES members (conversation_id, position) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE member_states (
    conversation_id TEXT    NOT NULL,
    member_position INTEGER NOT NULL,
    position        INTEGER NOT NULL,
    state           TEXT    NOT NULL,
    -- NULL where Vonage told the state without a time.
    at              INTEGER,
    source          TEXT    NOT NULL,
    PRIMARY KEY (conversation_id, member_position, position),
    FOREIGN KEY (conversation_id, member_position) REFERENCES members (conversation_id, position) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE legs (
    conversation_id TEXT    NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    position        INTEGER NOT NULL,
    -- Not unique: a transferred leg is told of in two conversations.
    id              TEXT    NOT NULL,
    direction       TEXT,
    caller          TEXT,
    callee          TEXT,
    status          TEXT,
    duration        INTEGER,
    price           TEXT,
    PRIMARY KEY (conversation_id, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX legs_by_id ON legs (id);

CREATE TABLE leg_statuses (
    conversation_id TEXT    NOT NULL,
    leg_position    INTEGER NOT NULL,
    position        INTEGER NOT NULL,
    status          TEXT    NOT NULL,
    at              INTEGER NOT NULL,
    detail          TEXT,
    PRIMARY KEY (conversation_id, leg_position, position),
    FOREIGN KEY (conversation_id, leg_position) REFERENCES legs (conversation_id, position) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
