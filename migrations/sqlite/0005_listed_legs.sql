-- Where a leg is from that neither log tells of: 'calls list' when it was found afterwards in Vonage's list of calls.
ALTER TABLE legs ADD COLUMN source TEXT;
