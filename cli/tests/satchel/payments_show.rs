use shared::random::Random;
use testing::Result;
use time::Duration;
use uuid::Uuid;

use crate::tool::today;
use crate::webhooks_world::{Inbox, Told};

/// A payment of ours that was paid, refunded in part, and bought a subscription; returns its id.
async fn paid(inbox: &Inbox) -> Result<Uuid> {
    let (user, payment) = (inbox.user().await?, Random::system().id(today()));
    inbox
        .sql(&format!(
            "INSERT INTO payments (id, user_id, provider, account, currency, amount_minor, received_minor,
                 refunded_minor, state, late, entitled, version, poll_at, created_at, updated_at)
             VALUES ('{payment}', '{user}', 'stripe', 'acct_1', 'eur', 1250, 1250, 250, 'partially_refunded', true, true,
                 4, '2026-03-01T00:00:00Z', now(), now());
             INSERT INTO payment_objects (provider, account, object_id, kind, root_id, reference, payment_id, status,
                 amount_minor, refunded_minor, currency, finality, seen_at, rank, created_at, updated_at)
             SELECT 'stripe', 'acct_1', id, kind, 'pi_1', NULL, '{payment}', status, amount, refunded, 'eur', 0,
                 '2026-02-01T00:00:00Z', 0, now(), now()
             FROM (VALUES ('pi_1', 'payment_intent', 'succeeded', 1250, 0), ('ch_1', 'charge', 'succeeded', 1250, 250),
                       ('re_1', 'refund', 'succeeded', 250, 0)) o (id, kind, status, amount, refunded);
             INSERT INTO subscriptions (provider, account, subscription_id, payment_id, user_id, status, entitled, version,
                 current_period_end_at, finality, seen_at, rank, created_at, updated_at)
             VALUES ('stripe', 'acct_1', 'sub_1', '{payment}', '{user}', 'active', true, 2, '2026-05-01T00:00:00Z', 0,
                 now(), 0, now(), now());
             INSERT INTO ledger (id, provider, account, source_object, kind, object_id, amount_minor, currency,
                 occurred_at, created_at)
             VALUES (gen_random_uuid(), 'stripe', 'acct_1', 'pi_1', 'payment', 'pi_1', 1250, 'eur', '2026-02-01T00:00:00Z', now()),
                    (gen_random_uuid(), 'stripe', 'acct_1', 're_1', 'refund', 're_1', -250, 'eur', '2026-02-02T00:00:00Z', now()),
                    (gen_random_uuid(), 'stripe', 'acct_1', 'txn_1', 'dispute_fee', 'ch_1', -20, 'usd', '2026-02-03T00:00:00Z', now()),
                    (gen_random_uuid(), 'stripe', 'acct_2', 'pi_9', 'payment', 'pi_9', 7, 'eur', '2026-02-01T00:00:00Z', now());
             INSERT INTO outbox (id, topic, key, version, payload, created_at, published_at, attempts, next_attempt_at)
             VALUES (gen_random_uuid(), 'entitlement.granted', '{payment}', 2, '{{}}', now(), '2026-02-01T00:00:09Z', 1, now()),
                    (gen_random_uuid(), 'entitlement.revoked', '{payment}', 4, '{{}}', now(), NULL, 3, now()),
                    (gen_random_uuid(), 'entitlement.granted', 'sub_1', 2, '{{}}', now(), NULL, 0, now()),
                    (gen_random_uuid(), 'entitlement.granted', 'another', 1, '{{}}', now(), NULL, 0, now())"
        ))
        .await?;
    let told = Told { account: "acct_1", state: "done", ..Told::default() };
    for told in [
        Told { event_id: "evt_refunded", object_id: Some("ch_1"), ago: Duration::hours(1), ..told.clone() },
        Told { event_id: "evt_paid", object_id: Some("pi_1"), ago: Duration::hours(9), ..told.clone() },
        Told { event_id: "evt_renewed", object_id: Some("sub_1"), ago: Duration::hours(2), ..told.clone() },
        Told { event_id: "evt_other", object_id: Some("pi_9"), ..told },
    ] {
        inbox.told(&told).await?;
    }
    Ok(payment)
}

#[tokio::test]
async fn a_payment_is_shown_with_all_that_was_heard_of_it() -> Result<()> {
    let inbox = Inbox::start().await?;
    let payment = paid(&inbox).await?;

    let said = inbox.payments(&["show", &payment.to_string()]).await?.ok();

    assert!(said.starts_with(&format!("payment {payment}  partially_refunded\n")), "{said}");
    for part in [
        "  provider  stripe acct_1\n",
        "  amount    1250 eur minor units\n",
        "  received  1250 eur minor units\n",
        "  refunded  250 eur minor units\n",
        "  entitled  yes\n",
        "  late      yes\n",
        "  marked    no\n",
        "  version   4\n",
        "  poll at   2026-03-01T00:00:00Z\n",
        "  charge          ch_1  succeeded  as of 2026-02-01T00:00:00Z  1250 eur minor units, 250 eur minor units refunded\n",
        "  refund          re_1  succeeded  as of 2026-02-01T00:00:00Z  250 eur minor units\n",
        "  sub_1  active  as of ",
        "  entitled yes  version 2  period ends 2026-05-01T00:00:00Z\n",
        "  2026-02-02T00:00:00Z  refund       -250 eur minor units  re_1   re_1\n",
        "  sum 1000 eur minor units\n",
        "  sum -20 usd minor units\n",
        "  entitlement.granted  sub_1 ",
        "  version 2  published 2026-02-01T00:00:09Z\n",
        "  version 4  not published, 3 attempts\n",
    ] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    for others in ["evt_other", "pi_9", "another"] {
        assert!(!said.contains(others), "{said}");
    }
    let events: Vec<&str> = said.split_whitespace().filter(|word| word.starts_with("evt_")).collect();
    assert_eq!(events, ["evt_paid", "evt_renewed", "evt_refunded"], "in the order in which they happened");
    Ok(())
}

#[tokio::test]
async fn it_is_found_by_each_of_its_objects_and_its_subscription() -> Result<()> {
    let inbox = Inbox::start().await?;
    let payment = paid(&inbox).await?;
    let said = inbox.payments(&["show", &payment.to_string()]).await?.ok();
    for name in ["pi_1", "ch_1", "re_1", "sub_1"] {
        assert_eq!(inbox.payments(&["show", name]).await?.ok(), said, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn millisatoshis_and_what_was_marked_by_hand_are_called_so() -> Result<()> {
    let inbox = Inbox::start().await?;
    let (user, payment) = (inbox.user().await?, Random::system().id(today()));
    inbox
        .sql(&format!(
            "INSERT INTO payments (id, user_id, provider, account, currency, amount_minor, state, manually_marked,
                 created_at, updated_at)
             VALUES ('{payment}', '{user}', 'btcpay', 'store1', 'btc', 21000, 'paid', true, now(), now())"
        ))
        .await?;
    let said = inbox.payments(&["show", &payment.to_string()]).await?.ok();
    assert!(said.contains("  amount    21000 msat\n  received  0 msat\n"), "{said}");
    assert!(said.contains("  marked    by hand at the provider: no money was seen\n"), "{said}");
    assert!(!said.contains("objects") && !said.contains("ledger") && !said.contains("events"), "{said}");
    Ok(())
}

/// Objects that belong together and are no payment's, and one by itself.
async fn unclaimed(inbox: &Inbox, reference: Uuid) -> Result<()> {
    inbox
        .sql(&format!(
            "INSERT INTO payment_objects (provider, account, object_id, kind, root_id, reference, status, amount_minor,
                 asked_minor, currency, finality, seen_at, rank, refetch_at, created_at, updated_at)
             VALUES ('stripe', 'acct_1', 'pi_2', 'payment_intent', 'pi_2', '{reference}', 'open', 500, 600, 'eur', 0, now(), 0,
                        now(), now() - interval '3 hours', now()),
                    ('stripe', 'acct_1', 're_2', 'refund', 'pi_2', NULL, 'pending', 100, 100, 'eur', 0, now(), 0, NULL,
                        now() - interval '2 hours', now()),
                    ('btcpay', 'store1', 'inv', 'btcpay_invoice', 'inv', NULL, 'settled', 9000, 9000, 'btc', 0, now(), 0, NULL,
                        now() - interval '1 hour', now());
             INSERT INTO subscriptions (provider, account, subscription_id, status, finality, seen_at, rank, created_at,
                 updated_at)
             VALUES ('stripe', '', 'sub_9', 'past_due', 0, now(), 0, now() - interval '4 hours', now())"
        ))
        .await
}

#[tokio::test]
async fn what_is_nobody_s_is_shown_with_what_belongs_to_it() -> Result<()> {
    let inbox = Inbox::start().await?;
    let reference = Random::system().id(today());
    unclaimed(&inbox, reference).await?;
    inbox.told(&Told { event_id: "evt_2", object_id: Some("re_2"), ..Told::default() }).await?;
    inbox.told(&Told { event_id: "evt_po", object_id: Some("po_1"), ..Told::default() }).await?;
    for name in ["pi_2", "re_2", &reference.to_string()] {
        let said = inbox.payments(&["show", name]).await?.ok();
        assert!(said.starts_with(&format!("{name}  no payment of ours\n")), "{said}");
        let names = format!(
            "500 eur minor units of 600 eur minor units asked, names payment {reference}, is to be asked about\n"
        );
        assert!(said.contains(&names), "{said}");
        assert!(said.contains("100 eur minor units, names no payment\n") && said.contains("evt_2"), "{said}");
    }
    assert!(inbox.payments(&["show", "sub_9"]).await?.ok().contains("  sub_9  past_due  as of "));
    let said = inbox.payments(&["show", "po_1"]).await?.ok();
    assert!(said.starts_with("po_1  no payment of ours\n") && said.contains("evt_po"), "{said}");
    for name in ["po_2", "01a1fefa-c83d-7f8d-8fd4-ad4999db0c3f", "%"] {
        let said = inbox.payments(&["show", name]).await?.refused();
        assert!(said.contains(&format!("nothing was heard of {name}, and no payment has this id")), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn an_id_that_two_accounts_use_is_asked_back() -> Result<()> {
    let inbox = Inbox::start().await?;
    let one = paid(&inbox).await?;
    let other = Random::system().id(today());
    inbox
        .sql(&format!(
            "INSERT INTO payments (id, user_id, provider, account, currency, amount_minor, created_at, updated_at)
             SELECT '{other}', user_id, 'stripe', 'acct_2', currency, 1, now(), now() FROM payments;
             INSERT INTO payment_objects (provider, account, object_id, kind, root_id, payment_id, status, finality,
                 seen_at, rank, created_at, updated_at)
             VALUES ('stripe', 'acct_2', 'pi_1', 'payment_intent', 'pi_1', '{other}', 'open', 0, now(), 0, now(), now())"
        ))
        .await?;
    let said = inbox.payments(&["show", "pi_1"]).await?.refused();
    assert!(said.contains("several accounts have an object pi_1"), "{said}");
    assert!(said.contains(&one.to_string()) && said.contains(&other.to_string()), "{said}");
    Ok(())
}

#[tokio::test]
async fn unclaimed_lists_what_is_nobody_s_the_newest_first() -> Result<()> {
    let inbox = Inbox::start().await?;
    paid(&inbox).await?;
    let reference = Random::system().id(today());
    unclaimed(&inbox, reference).await?;
    let all: &[(&[&str], &[&str])] = &[
        (&[], &["inv", "re_2", "pi_2", "sub_9"]),
        (&["--since", "150m"], &["inv", "re_2"]),
        (&["--naming"], &["pi_2"]),
        (&["--naming", "--since", "1h"], &[]),
        (&["--limit", "1"], &["inv"]),
    ];
    for (options, wanted) in all {
        let said = inbox.payments(&[&["unclaimed"], *options].concat()).await?.ok();
        let lines = said.lines().filter(|line| line.starts_with("20"));
        let found: Vec<&str> = lines.filter_map(|line| line.split_whitespace().nth(4)).collect();
        assert_eq!(found, *wanted, "{options:?}: {said}");
        assert_eq!(said.contains("and more: --limit"), options.contains(&"--limit"), "{said}");
    }
    let said = inbox.payments(&["unclaimed"]).await?.ok();
    assert!(said.contains("btcpay_invoice  inv    settled   9000 msat"), "{said}");
    assert!(
        said.contains(&format!("500 eur minor units  {reference}"))
            && said.ends_with("4 objects unclaimed\n"),
        "{said}"
    );
    Ok(())
}
