-- Invoices on the users' own stores, and the inbox of what providers tell us.

CREATE TABLE invoices (
    -- BTCPay's orderId, too: by it an invoice is found again whose answer was lost.
    id                uuid CONSTRAINT invoices_pkey PRIMARY KEY,
    user_id           uuid NOT NULL CONSTRAINT invoices_user_id_fkey REFERENCES users,
    btcpay_store_id   text NOT NULL,
    amount_msat       bigint NOT NULL
        CONSTRAINT invoices_amount_msat CHECK (amount_msat > 0 AND amount_msat % 1000 = 0),
    memo              text NOT NULL CONSTRAINT invoices_memo_length CHECK (octet_length(memo) <= 639),
    expiry_seconds    integer NOT NULL
        CONSTRAINT invoices_expiry_seconds CHECK (expiry_seconds BETWEEN 60 AND 86400 AND expiry_seconds % 60 = 0),
    state             text NOT NULL CONSTRAINT invoices_state CHECK (state IN ('creating', 'open', 'refused')),
    btcpay_invoice_id text,
    bolt11            text,
    payment_hash      bytea CONSTRAINT invoices_payment_hash_length CHECK (octet_length(payment_hash) = 32),
    expires_at        timestamptz,
    -- The caller's own name for the request, for as long as a repeat gets this invoice.
    idempotency_key   text
        CONSTRAINT invoices_idempotency_key_length CHECK (char_length(idempotency_key) BETWEEN 1 AND 255),
    fingerprint       bytea,
    -- Whoever holds the token may write the end, until somebody else takes the row up with the next one.
    leased_until      timestamptz NOT NULL,
    lease_token       bigint NOT NULL,
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    CONSTRAINT invoices_user_id_idempotency_key_key UNIQUE (user_id, idempotency_key),
    CONSTRAINT invoices_btcpay_invoice_id_key UNIQUE (btcpay_store_id, btcpay_invoice_id),
    -- An answer with another invoice's hash is somebody else's invoice.
    CONSTRAINT invoices_payment_hash_key UNIQUE (payment_hash),
    CONSTRAINT invoices_key_has_its_fingerprint CHECK ((idempotency_key IS NULL) = (fingerprint IS NULL)),
    -- What was not checked is nowhere to be shown from.
    CONSTRAINT invoices_shown_are_whole CHECK (
        (state IN ('creating', 'refused')) = (num_nonnulls(btcpay_invoice_id, bolt11, payment_hash, expires_at) = 0)
        AND num_nonnulls(btcpay_invoice_id, bolt11, payment_hash, expires_at) IN (0, 4))
);
CREATE INDEX invoices_user_id_created_at_idx ON invoices (user_id, created_at);

-- One row for each thing a provider told us, however often it was told. What it means for money is found out later.
CREATE TABLE webhook_events (
    id          uuid CONSTRAINT webhook_events_pkey PRIMARY KEY,
    provider    text NOT NULL CONSTRAINT webhook_events_provider CHECK (provider IN ('btcpay', 'stripe')),
    -- Whose it is at the provider: BTCPay's store.
    account     text NOT NULL,
    -- Which of the account's webhooks sent it, where deliveries are numbered per webhook.
    webhook_id  text NOT NULL,
    -- The provider's name for it, the same on every copy: BTCPay's first delivery.
    event_id    text NOT NULL,
    type        text NOT NULL,
    -- What it is about: BTCPay's invoice.
    object_id   text,
    -- The very bytes that were signed.
    body        bytea NOT NULL,
    state       text NOT NULL CONSTRAINT webhook_events_state CHECK (state IN ('received', 'ignored', 'done', 'dead')),
    attempts    integer NOT NULL DEFAULT 0,
    received_at timestamptz NOT NULL,
    CONSTRAINT webhook_events_event_id_key UNIQUE (provider, account, webhook_id, event_id)
);
CREATE INDEX webhook_events_received_idx ON webhook_events (received_at) WHERE state = 'received';

ALTER TABLE invoices ENABLE ROW LEVEL SECURITY;
ALTER TABLE invoices FORCE ROW LEVEL SECURITY;
ALTER TABLE webhook_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_events FORCE ROW LEVEL SECURITY;

CREATE POLICY invoices_own ON invoices TO satchel_api
    USING (user_id = (SELECT app_user_id())) WITH CHECK (user_id = (SELECT app_user_id()));
CREATE POLICY invoices_jobs ON invoices TO satchel_jobs USING (true) WITH CHECK (true);
CREATE POLICY webhook_events_webhooks ON webhook_events TO satchel_webhooks USING (true) WITH CHECK (true);
CREATE POLICY lightning_addresses_webhooks ON lightning_addresses TO satchel_webhooks USING (true) WITH CHECK (true);
CREATE POLICY audit_chains_webhooks ON audit_chains TO satchel_webhooks USING (true) WITH CHECK (true);
CREATE POLICY audit_logs_webhooks ON audit_logs TO satchel_webhooks USING (true) WITH CHECK (true);

GRANT SELECT, INSERT, UPDATE ON invoices TO satchel_api;
GRANT SELECT ON invoices TO satchel_jobs;
-- Who receives has a role of its own: anybody may write to it, and what it reads is the secret of one webhook.
GRANT SELECT (user_id, btcpay_store_id, btcpay_config_sealed) ON lightning_addresses TO satchel_webhooks;
GRANT SELECT, INSERT ON webhook_events TO satchel_webhooks;
GRANT SELECT, INSERT ON audit_logs TO satchel_webhooks;
GRANT SELECT, INSERT, UPDATE ON audit_chains TO satchel_webhooks;
