-- Looks that were given up are found without reading the others: an outage that ends makes them due again.

CREATE INDEX fetches_given_up ON fetches (gave_up_at) WHERE gave_up_at IS NOT NULL;
