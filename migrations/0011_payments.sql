-- What is paid to our users, as a function of what the providers say of each object a payment rests on.

CREATE TABLE payments (
    -- What the provider carries for us: Stripe's metadata.payment_id, BTCPay's orderId.
    id              uuid CONSTRAINT payments_pkey PRIMARY KEY,
    user_id         uuid NOT NULL CONSTRAINT payments_user_id_fkey REFERENCES users,
    provider        text NOT NULL CONSTRAINT payments_provider CHECK (provider IN ('btcpay', 'stripe')),
    -- Whose it is there: BTCPay's store, Stripe's connected account, or empty for our own.
    account         text NOT NULL,
    currency        text NOT NULL CONSTRAINT payments_currency_form CHECK (currency ~ '^[a-z0-9]{3,8}$'),
    -- The smallest unit there is: Stripe's minor unit; of `btc` the millisatoshi.
    amount_minor    bigint NOT NULL CONSTRAINT payments_amount_minor CHECK (amount_minor >= 0),
    received_minor  bigint NOT NULL DEFAULT 0,
    refunded_minor  bigint NOT NULL DEFAULT 0,
    state           text NOT NULL DEFAULT 'created' CONSTRAINT payments_state CHECK (state IN (
        'created', 'open', 'processing', 'failed', 'expired', 'paid', 'partially_refunded', 'refunded', 'disputed',
        'dispute_lost')),
    -- Paid after it had expired.
    late            boolean NOT NULL DEFAULT false,
    -- Settled by somebody's hand at the provider: no money was seen.
    manually_marked boolean NOT NULL DEFAULT false,
    -- Whether what was paid for is the payer's to have.
    entitled        boolean NOT NULL DEFAULT false,
    -- One more with each change: what orders the events of the outbox.
    version         bigint NOT NULL DEFAULT 0,
    expires_at      timestamptz,
    -- When the provider is asked how it stands, should no webhook have told; nothing for what is settled.
    poll_at         timestamptz,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL
);
CREATE INDEX payments_user_id_created_at_idx ON payments (user_id, created_at);
CREATE INDEX payments_poll_at_idx ON payments (poll_at) WHERE poll_at IS NOT NULL;

-- One row for each object at a provider that a payment may rest on, as the newest word about it has it.
CREATE TABLE payment_objects (
    provider       text NOT NULL,
    account        text NOT NULL,
    object_id      text NOT NULL,
    kind           text NOT NULL CONSTRAINT payment_objects_kind CHECK (kind IN (
        'btcpay_invoice', 'checkout_session', 'payment_intent', 'charge', 'refund', 'dispute', 'invoice')),
    -- What belongs together: the id of the payment intent, else of the charge, else its own.
    root_id        text NOT NULL,
    -- Our payment, as the provider carries it.
    reference      uuid,
    -- Our payment, as found. Nothing: nobody's yet.
    payment_id     uuid CONSTRAINT payment_objects_payment_id_fkey REFERENCES payments,
    status         text NOT NULL,
    amount_minor   bigint NOT NULL DEFAULT 0,
    -- What is to be paid, however much of it was: a reference that somebody else may have written is believed for no
    -- less than our own amount. Nothing where only we can have written it.
    asked_minor    bigint,
    refunded_minor bigint NOT NULL DEFAULT 0,
    currency       text,
    was_expired    boolean NOT NULL DEFAULT false,
    -- How one word about it stands to another: an end before anything else, then the later, then the further.
    finality       smallint NOT NULL,
    seen_at        timestamptz NOT NULL,
    rank           smallint NOT NULL,
    -- Two words of one second that neither rule decides: the provider is asked.
    refetch_at     timestamptz,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    -- The id first: what all rows share is no way to any of them.
    CONSTRAINT payment_objects_pkey PRIMARY KEY (object_id, account, provider)
);
CREATE INDEX payment_objects_root_id_idx ON payment_objects (root_id);
CREATE INDEX payment_objects_payment_id_idx ON payment_objects (payment_id) WHERE payment_id IS NOT NULL;
CREATE INDEX payment_objects_unclaimed_idx ON payment_objects (created_at)
    WHERE payment_id IS NULL AND reference IS NOT NULL;
CREATE INDEX payment_objects_refetch_at_idx ON payment_objects (refetch_at) WHERE refetch_at IS NOT NULL;

CREATE TABLE subscriptions (
    provider              text NOT NULL,
    account               text NOT NULL,
    subscription_id       text NOT NULL,
    reference             uuid,
    -- The payment it was bought with, and so whose it is.
    payment_id            uuid CONSTRAINT subscriptions_payment_id_fkey REFERENCES payments,
    user_id               uuid CONSTRAINT subscriptions_user_id_fkey REFERENCES users,
    customer              text,
    status                text NOT NULL,
    cancel_at_period_end  boolean NOT NULL DEFAULT false,
    current_period_end_at timestamptz,
    entitled              boolean NOT NULL DEFAULT false,
    version               bigint NOT NULL DEFAULT 0,
    finality              smallint NOT NULL,
    seen_at               timestamptz NOT NULL,
    rank                  smallint NOT NULL,
    refetch_at            timestamptz,
    created_at            timestamptz NOT NULL,
    updated_at            timestamptz NOT NULL,
    CONSTRAINT subscriptions_pkey PRIMARY KEY (subscription_id, account, provider)
);
CREATE INDEX subscriptions_user_id_idx ON subscriptions (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX subscriptions_unclaimed_idx ON subscriptions (created_at) WHERE payment_id IS NULL;
CREATE INDEX subscriptions_refetch_at_idx ON subscriptions (refetch_at) WHERE refetch_at IS NOT NULL;

CREATE TABLE payouts (
    provider     text NOT NULL,
    account      text NOT NULL,
    payout_id    text NOT NULL,
    status       text NOT NULL,
    amount_minor bigint NOT NULL,
    currency     text NOT NULL,
    arrival_at   timestamptz,
    failure_code text,
    finality     smallint NOT NULL,
    seen_at      timestamptz NOT NULL,
    rank         smallint NOT NULL,
    refetch_at   timestamptz,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    CONSTRAINT payouts_pkey PRIMARY KEY (payout_id, account, provider)
);
CREATE INDEX payouts_refetch_at_idx ON payouts (refetch_at) WHERE refetch_at IS NOT NULL;

-- Stripe accounts connected to ours, as Stripe last described them.
CREATE TABLE connected_accounts (
    account           text CONSTRAINT connected_accounts_pkey PRIMARY KEY,
    status            text NOT NULL,
    charges_enabled   boolean NOT NULL,
    payouts_enabled   boolean NOT NULL,
    details_submitted boolean NOT NULL,
    -- Which of Stripe's APIs describes it.
    is_v2             boolean NOT NULL DEFAULT false,
    finality          smallint NOT NULL,
    seen_at           timestamptz NOT NULL,
    rank              smallint NOT NULL,
    refetch_at        timestamptz,
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL
);
CREATE INDEX connected_accounts_refetch_at_idx ON connected_accounts (refetch_at) WHERE refetch_at IS NOT NULL;

-- What moved, each movement once: written, never changed.
CREATE TABLE ledger (
    id            uuid CONSTRAINT ledger_pkey PRIMARY KEY,
    provider      text NOT NULL,
    account       text NOT NULL,
    -- What moved it, by the provider's name; `object_id` is what it belongs to: the dispute of a withdrawal.
    source_object text NOT NULL,
    kind          text NOT NULL CONSTRAINT ledger_kind CHECK (kind IN (
        'payment', 'refund', 'refund_reversed', 'dispute', 'dispute_reversed', 'dispute_fee', 'payout',
        'payout_reversed', 'application_fee', 'application_fee_refund', 'transfer', 'transfer_reversed')),
    object_id     text NOT NULL,
    -- Into the account is positive.
    amount_minor  bigint NOT NULL,
    currency      text NOT NULL,
    -- When the provider made what moved it.
    occurred_at   timestamptz NOT NULL,
    created_at    timestamptz NOT NULL,
    CONSTRAINT ledger_source_object_kind_key UNIQUE (source_object, kind, provider)
);
CREATE INDEX ledger_object_id_idx ON ledger (object_id);

-- What later parts are to be told, written with the change it tells of. Read in the order of `version` for each key,
-- and taken as told once `published_at` is set; who reads it knows a repeat by the id.
CREATE TABLE outbox (
    id              uuid CONSTRAINT outbox_pkey PRIMARY KEY,
    topic           text NOT NULL,
    key             text NOT NULL,
    version         bigint NOT NULL,
    payload         jsonb NOT NULL,
    created_at      timestamptz NOT NULL,
    published_at    timestamptz,
    attempts        integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL,
    CONSTRAINT outbox_key_version_key UNIQUE (key, topic, version)
);
CREATE INDEX outbox_unpublished_idx ON outbox (next_attempt_at) WHERE published_at IS NULL;
CREATE INDEX outbox_published_idx ON outbox (published_at) WHERE published_at IS NOT NULL;

-- Up to when a provider's own list of events was gone through.
CREATE TABLE reconcile_cursors (
    provider   text NOT NULL,
    account    text NOT NULL,
    reached_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT reconcile_cursors_pkey PRIMARY KEY (provider, account)
);

-- The inbox learns to wait, to give up, and to keep what it was told from whoever reads the table. Rows from before
-- have their body in clear until they are pruned. A function of the build before this one still writes while this is
-- deployed: what it does not name is due at once.
ALTER TABLE webhook_events
    ALTER COLUMN body DROP NOT NULL,
    ADD COLUMN body_sealed     bytea,
    ADD COLUMN livemode        boolean,
    ADD COLUMN api_version     text,
    -- When it happened, by the provider's clock.
    ADD COLUMN occurred_at     timestamptz,
    -- Lease and schedule in one, as with setups; `attempts` is the token.
    ADD COLUMN due_at          timestamptz DEFAULT now(),
    ADD COLUMN last_error_code text,
    ADD COLUMN finished_at     timestamptz,
    ADD CONSTRAINT webhook_events_has_one_body CHECK (num_nonnulls(body, body_sealed) = 1);
-- The owner sees rows of a guarded table only while it is not guarded from the owner.
ALTER TABLE webhook_events NO FORCE ROW LEVEL SECURITY;
UPDATE webhook_events SET due_at = NULL, finished_at = received_at WHERE state <> 'received';
ALTER TABLE webhook_events FORCE ROW LEVEL SECURITY;
ALTER TABLE webhook_events
    ADD CONSTRAINT webhook_events_is_due_or_finished
        CHECK ((state = 'received') = (due_at IS NOT NULL) AND (state = 'received') = (finished_at IS NULL));
-- An event is looked for by what its provider calls it.
ALTER TABLE webhook_events
    DROP CONSTRAINT webhook_events_event_id_key,
    ADD CONSTRAINT webhook_events_event_id_key UNIQUE (event_id, provider, account, webhook_id);
DROP INDEX webhook_events_received_idx;
CREATE INDEX webhook_events_due_idx ON webhook_events (due_at) WHERE state = 'received';
CREATE INDEX webhook_events_dead_idx ON webhook_events (received_at) WHERE state = 'dead';
CREATE INDEX webhook_events_object_id_idx ON webhook_events (object_id) WHERE object_id IS NOT NULL;
CREATE INDEX webhook_events_finished_idx ON webhook_events (finished_at) WHERE state IN ('done', 'ignored');

-- Invoices from before have payments, too, and are asked about at once.
ALTER TABLE invoices NO FORCE ROW LEVEL SECURITY;
INSERT INTO payments
    (id, user_id, provider, account, currency, amount_minor, expires_at, poll_at, created_at, updated_at)
SELECT id, user_id, 'btcpay', btcpay_store_id, 'btc', amount_msat, created_at + expiry_seconds * interval '1 second',
       now(), created_at, now()
FROM invoices WHERE state <> 'refused';
ALTER TABLE invoices FORCE ROW LEVEL SECURITY;

ALTER TABLE payments ENABLE ROW LEVEL SECURITY;
ALTER TABLE payments FORCE ROW LEVEL SECURITY;
ALTER TABLE payment_objects ENABLE ROW LEVEL SECURITY;
ALTER TABLE payment_objects FORCE ROW LEVEL SECURITY;
ALTER TABLE subscriptions ENABLE ROW LEVEL SECURITY;
ALTER TABLE subscriptions FORCE ROW LEVEL SECURITY;
ALTER TABLE payouts ENABLE ROW LEVEL SECURITY;
ALTER TABLE payouts FORCE ROW LEVEL SECURITY;
ALTER TABLE connected_accounts ENABLE ROW LEVEL SECURITY;
ALTER TABLE connected_accounts FORCE ROW LEVEL SECURITY;
ALTER TABLE ledger ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger FORCE ROW LEVEL SECURITY;
ALTER TABLE outbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE outbox FORCE ROW LEVEL SECURITY;
ALTER TABLE reconcile_cursors ENABLE ROW LEVEL SECURITY;
ALTER TABLE reconcile_cursors FORCE ROW LEVEL SECURITY;

CREATE POLICY payments_own ON payments TO satchel_api
    USING (user_id = (SELECT app_user_id())) WITH CHECK (user_id = (SELECT app_user_id()));
CREATE POLICY payments_webhooks ON payments TO satchel_webhooks USING (true) WITH CHECK (true);
CREATE POLICY payments_jobs ON payments TO satchel_jobs USING (true) WITH CHECK (true);
CREATE POLICY payment_objects_webhooks ON payment_objects TO satchel_webhooks USING (true) WITH CHECK (true);
CREATE POLICY payment_objects_jobs ON payment_objects TO satchel_jobs USING (true) WITH CHECK (true);
CREATE POLICY subscriptions_own ON subscriptions TO satchel_api USING (user_id = (SELECT app_user_id()));
CREATE POLICY subscriptions_webhooks ON subscriptions TO satchel_webhooks USING (true) WITH CHECK (true);
CREATE POLICY subscriptions_jobs ON subscriptions TO satchel_jobs USING (true) WITH CHECK (true);
CREATE POLICY payouts_webhooks ON payouts TO satchel_webhooks USING (true) WITH CHECK (true);
CREATE POLICY payouts_jobs ON payouts TO satchel_jobs USING (true) WITH CHECK (true);
CREATE POLICY connected_accounts_webhooks ON connected_accounts TO satchel_webhooks USING (true) WITH CHECK (true);
CREATE POLICY connected_accounts_jobs ON connected_accounts TO satchel_jobs USING (true) WITH CHECK (true);
CREATE POLICY ledger_webhooks ON ledger TO satchel_webhooks USING (true) WITH CHECK (true);
CREATE POLICY ledger_jobs ON ledger TO satchel_jobs USING (true) WITH CHECK (true);
CREATE POLICY outbox_webhooks ON outbox TO satchel_webhooks USING (true) WITH CHECK (true);
CREATE POLICY outbox_jobs ON outbox TO satchel_jobs USING (true) WITH CHECK (true);
CREATE POLICY reconcile_cursors_jobs ON reconcile_cursors TO satchel_jobs USING (true) WITH CHECK (true);
CREATE POLICY webhook_events_jobs ON webhook_events TO satchel_jobs USING (true) WITH CHECK (true);

-- A signed-in user begins payments and reads their own; what becomes of them only the providers say.
GRANT SELECT, INSERT (id, user_id, provider, account, currency, amount_minor, expires_at, poll_at, created_at, updated_at)
    ON payments TO satchel_api;
GRANT SELECT ON subscriptions TO satchel_api;
-- What became of it; not whose it is, nor what it costs.
GRANT SELECT, UPDATE (state, received_minor, refunded_minor, late, manually_marked, entitled, version, poll_at, updated_at)
    ON payments TO satchel_webhooks;
GRANT SELECT, INSERT, UPDATE ON payments TO satchel_jobs;
GRANT SELECT, INSERT, UPDATE ON payment_objects, subscriptions, payouts, connected_accounts
    TO satchel_webhooks, satchel_jobs;
-- Append-only, for everybody.
GRANT SELECT, INSERT ON ledger TO satchel_webhooks, satchel_jobs;
-- What tells a repeat from a first time, and no more.
GRANT INSERT, SELECT (topic, key, version) ON outbox TO satchel_webhooks;
GRANT SELECT, INSERT, UPDATE, DELETE ON outbox TO satchel_jobs;
GRANT SELECT, INSERT, UPDATE ON reconcile_cursors TO satchel_jobs;
GRANT UPDATE (state, attempts, due_at, last_error_code, finished_at) ON webhook_events
    TO satchel_webhooks;
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_events TO satchel_jobs;
GRANT SELECT, INSERT, UPDATE ON provider_breakers TO satchel_webhooks;
