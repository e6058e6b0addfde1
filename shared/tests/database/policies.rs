//! Which rows each role sees of each guarded table. Change this list with the migration that changes it.

use std::collections::BTreeMap;

use shared::db::roles::Role;
use testing::{Result, TestDb};

/// Every policy there is: table, and whose rows are opened to the four working roles. `own` are those of the account the
/// transaction acts for; `admin` are all, if that account is an administrator's.
const POLICIES: [(&str, [&str; 4]); 35] = [
    //                           auth   api   hooks  jobs
    ("activity_logs", ["", "admin own", "", "all"]),
    ("admins", ["all", "own", "", "all"]),
    ("audit_chains", ["all", "own", "all", "all"]),
    ("audit_heads", ["", "", "", "all"]),
    ("audit_logs", ["all", "own", "all", "all"]),
    ("challenges", ["all", "own", "", "all"]),
    ("connected_accounts", ["", "", "all", "all"]),
    ("idempotency_keys", ["own", "own", "", "all"]),
    ("identities", ["all", "admin own", "", "all"]),
    ("imported_lightning_addresses", ["", "", "", "all"]),
    ("invoices", ["", "own", "", "all"]),
    ("ledger", ["", "", "all", "all"]),
    ("lightning_addresses", ["", "own", "all", "all"]),
    ("lightning_setup_log", ["all", "own", "", "all"]),
    ("lightning_setup_secrets", ["", "own", "", "all"]),
    ("lightning_setup_steps", ["", "own", "", "all"]),
    ("lightning_setups", ["all", "own", "", "all"]),
    ("mails", ["all", "own-or-admin", "", "all"]),
    ("nodes", ["", "own", "", "all"]),
    ("notification_preferences", ["", "admin own", "", "all"]),
    ("oauth_states", ["all", "", "", "all"]),
    ("one_time_tokens", ["all", "", "", "all"]),
    ("outbox", ["", "", "all", "all"]),
    ("passwords", ["all", "", "", "all"]),
    ("payment_objects", ["", "", "all", "all"]),
    ("payments", ["", "own", "all", "all"]),
    ("payouts", ["", "", "all", "all"]),
    ("private_beta_users", ["all", "", "", ""]),
    ("reconcile_cursors", ["", "", "", "all"]),
    ("reseal_progress", ["", "", "", "all"]),
    ("sessions", ["all", "admin own", "", "all"]),
    ("subscriptions", ["", "own", "all", "all"]),
    ("users", ["all", "admin own", "", "all"]),
    ("wallets", ["all", "admin own", "", "all"]),
    ("webhook_events", ["", "", "all", "all"]),
];

#[tokio::test]
async fn every_policy_opens_all_rows_to_a_named_role_or_to_administrators_or_own_rows() -> Result<()> {
    let db = TestDb::create().await?;
    let admin = db.admin().await?;
    let found = admin
        .query_typed(
            "SELECT tablename::text, roles::text[], permissive, COALESCE(qual, with_check), COALESCE(with_check, qual)
             FROM pg_policies ORDER BY tablename, roles::text, policyname",
            &[],
        )
        .await?;
    let mut policies: BTreeMap<String, [Vec<&str>; 4]> = BTreeMap::new();
    for row in &found {
        let (table, roles): (String, Vec<String>) = (row.get(0), row.get(1));
        let (permissive, using, check): (&str, &str, &str) = (row.get(2), row.get(3), row.get(4));
        assert_eq!(
            (permissive, using),
            ("PERMISSIVE", check),
            "{table} reads by one rule and writes by another"
        );
        let rows = match (using, using.contains("app_user_id()"), using.contains("app_is_admin()")) {
            ("true", ..) => "all",
            (_, true, true) => "own-or-admin",
            (_, true, false) => "own",
            ("( SELECT app_is_admin() AS app_is_admin)", ..) => "admin",
            (other, ..) => other,
        };
        let [role] = roles.as_slice() else { anyhow::bail!("{table}: one role a policy, not {roles:?}") };
        let working = [Role::Auth, Role::Api, Role::Webhooks, Role::Jobs];
        let Some(place) = working.iter().position(|known| known.name() == role) else {
            anyhow::bail!("{table}: a policy for {role}")
        };
        policies.entry(table).or_default()[place].push(rows);
    }
    let found: Vec<(&str, [String; 4])> = policies
        .iter_mut()
        .map(|(table, roles)| {
            (
                table.as_str(),
                roles.each_mut().map(|rows| {
                    rows.sort_unstable();
                    rows.join(" ")
                }),
            )
        })
        .collect();
    let expected = POLICIES.map(|(table, roles)| (table, roles.map(str::to_owned)));
    assert_eq!(found, expected);
    Ok(())
}

#[tokio::test]
async fn no_policy_reads_a_role_from_a_setting() -> Result<()> {
    let db = TestDb::create().await?;
    let admin = db.admin().await?;
    let settings = "SELECT count(*) FROM pg_policies
                    WHERE concat(qual, with_check) ~* 'setting|current_user|session_user|current_role'";
    assert_eq!(crate::number(&admin, settings).await?, 0);
    // The one function they call reads the one setting, and it holds an account.
    let row = admin.query_typed_one("SELECT pg_get_functiondef('app_user_id'::regproc)", &[]).await?;
    let body: &str = row.get(0);
    assert_eq!(body.matches("setting").count(), 1, "{body}");
    assert!(body.contains("'app.user_id'"), "{body}");
    Ok(())
}
