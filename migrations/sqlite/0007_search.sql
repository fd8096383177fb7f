-- What conversations are searched by.

-- Whoever is told of as a party of a conversation. Derived, like the conversations.
CREATE TABLE parties (
    conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    -- 'from' and 'to' of the call, or 'other': of a further leg, or a member's channel.
    side            TEXT NOT NULL,
    -- A number's digits with the country's code; anything else in lower case.
    key             TEXT NOT NULL,
    -- The key backwards: an ending is a beginning there.
    reversed        TEXT NOT NULL,
    PRIMARY KEY (conversation_id, side, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX parties_by_key ON parties (key);
CREATE INDEX parties_by_ending ON parties (reversed);

CREATE INDEX members_by_user ON members (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX members_by_name ON members (name) WHERE name IS NOT NULL;

-- Each filter in the order of the list: the first page is there without looking at what is not on it.
CREATE INDEX conversations_by_capture ON conversations (capture_state, listed_at DESC, id DESC);
CREATE INDEX conversations_by_status ON conversations (status, listed_at DESC, id DESC);
CREATE INDEX conversations_by_direction ON conversations (direction, listed_at DESC, id DESC);
CREATE INDEX conversations_by_application ON conversations (application_id, listed_at DESC, id DESC);
CREATE INDEX conversations_by_duration ON conversations (duration) WHERE duration IS NOT NULL;
-- The few that go on, or may.
CREATE INDEX conversations_live ON conversations (listed_at DESC, id DESC) WHERE over_from IS NOT 0;

-- When what told of a state told it; 0 until it is interpreted anew.
ALTER TABLE member_states ADD COLUMN learnt_at INTEGER NOT NULL DEFAULT 0;

-- The conversations that are there have no parties and no such times yet: all are interpreted anew.
UPDATE fetches SET looks = looks + 1;
