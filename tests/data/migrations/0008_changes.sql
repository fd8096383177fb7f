-- Two changes, of which the second was the first conversation's.
UPDATE changes SET newest = 2;

UPDATE conversations
SET change = 2, fingerprint = x'9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'
WHERE id = 'CON-1';
