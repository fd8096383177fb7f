-- Looks that are due are found by how urgent they are, without reading the others.

-- Whether there is a snapshot: once it is seen, a conversation stays so.
ALTER TABLE fetches ADD COLUMN is_seen INTEGER NOT NULL DEFAULT 0;
UPDATE fetches SET is_seen = 1 WHERE conversation_id IN (SELECT conversation_id FROM snapshots);

-- Where the look stands, the first to be served first: 0 never seen and not yet asked for in vain, 1 never seen and
-- asked for in vain, 2 the last after the end of a leg, 3 something was heard, 4 a poll. Three answers in a row that
-- the conversation is not known, or the token refused, end the hope to see one that was never seen; trouble on the
-- way says nothing of it. One that was never seen and has a leg that ended waits with those that were seen.
ALTER TABLE fetches ADD COLUMN queue INTEGER GENERATED ALWAYS AS (CASE
    WHEN is_seen THEN 1 + min(max(urgency, 1), 3)
    WHEN failures >= 3 AND trouble IN ('not yet', 'refused') THEN 4
    WHEN urgency = 1 THEN 2
    WHEN failures > 0 THEN 1
    ELSE 0 END) VIRTUAL;

DROP INDEX fetches_by_due;
CREATE INDEX fetches_by_queue ON fetches (queue, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX fetches_leased ON fetches (leased_until) WHERE leased_until IS NOT NULL;
