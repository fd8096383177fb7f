-- A member whose leg ended, and an app user who called without a leg.
INSERT INTO members (conversation_id, position, id, state, has_channel, joined_at, left_at, left_source, left_leg_id)
VALUES ('CON-2', 0, 'MEM-3', 'JOINED', 0, 1773051341000000, 1773051648000000, 'leg_end', 'leg-3');
UPDATE conversations SET other_parties = '[{"side":"from","party":"alice"}]' WHERE id = 'CON-2';
