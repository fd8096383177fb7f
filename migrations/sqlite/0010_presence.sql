-- From when to when members took part, and what instants and parties rest on. Derived, like the rest of their rows.

ALTER TABLE members ADD COLUMN joined_at INTEGER;
ALTER TABLE members ADD COLUMN left_at INTEGER;
-- What says that the member left: 'rtc', 'snapshot' and 'event' with a number, or 'leg_end' with a leg.
ALTER TABLE members ADD COLUMN left_source TEXT;
ALTER TABLE members ADD COLUMN left_number INTEGER;
ALTER TABLE members ADD COLUMN left_leg_id TEXT;

-- 'timestamp' where the time is Vonage's, 'receipt' where it told none.
ALTER TABLE leg_statuses ADD COLUMN at_source TEXT NOT NULL DEFAULT 'timestamp';

-- Parties that webhooks name beside no leg, as JSON: nothing is searched in here, `parties` has them too.
ALTER TABLE conversations ADD COLUMN other_parties TEXT NOT NULL DEFAULT '[]';

-- The conversations that are there lack all this, and their parties are keyed as they were written: all are
-- interpreted anew.
UPDATE fetches SET looks = looks + 1;
