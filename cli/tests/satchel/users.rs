//! `satchel users …`

use serde_json::Value;
use testing::{Result, SignedIn, World};
use time::Duration;
use uuid::Uuid;

use crate::tool::{Ran, Tool, world_of_today};

const DID: &str = "did:mnemonic:0f1e2d3c4b5a6978";
const OTHER_DID: &str = "did:mnemonic:8796a5b4c3d2e1f0";

/// Two accounts, the first with an e-mail, and its node's key.
struct People {
    world: World,
    tool: Tool,
    user: SignedIn,
    other: SignedIn,
    pubkey: String,
}

impl People {
    async fn start() -> Result<Self> {
        let world = world_of_today().await?;
        let tool = Tool::at(&world.sandbox);
        let pubkey = world.node("node12")?.pubkey;
        let user = world.sign_in(DID, &pubkey).await?;
        world.advance(Duration::SECOND);
        let other = world.sign_in(OTHER_DID, &world.node("node13")?.pubkey).await?;
        let people = Self { world, tool, user, other, pubkey };
        let email = format!(
            "INSERT INTO identities (user_id, kind, subject, created_at, verified_at)
             VALUES ('{}', 'email', 'somebody@example.com', now(), now())",
            people.user.user_id
        );
        people.sql(&email).await?;
        Ok(people)
    }

    async fn run(&self, arguments: &[&str]) -> Result<Ran> {
        self.tool.run(&[&["users"], arguments].concat()).await
    }

    async fn sql(&self, sql: &str) -> Result<()> {
        Ok(self.world.db.admin().await?.batch_execute(sql).await?)
    }

    /// How many rows this tells of in the account's chain.
    async fn audited(&self, action: &str, command: &str, user_id: Uuid) -> Result<i64> {
        let sql = format!(
            "SELECT count(*) FROM audit_logs WHERE action = '{action}' AND chain = '{user_id}' AND user_id = '{user_id}'
             AND resource_type = 'user' AND resource_id = '{user_id}' AND request_id = 'satchel users {command}'"
        );
        self.world.db.count(&sql).await
    }

    async fn standing(&self) -> Result<Vec<Uuid>> {
        let rows = "SELECT id FROM sessions WHERE revoked_at IS NULL ORDER BY created_at";
        let rows = self.world.db.admin().await?.query_typed(rows, &[]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}

fn json(said: &str) -> Result<Value> {
    Ok(serde_json::from_str(said)?)
}

#[tokio::test]
async fn accounts_are_listed_newest_first_with_what_they_are() -> Result<()> {
    let people = People::start().await?;
    people.run(&["grant-admin", "somebody@example.com"]).await?.ok();
    people.sql(&format!("UPDATE users SET deleted_at = now() WHERE id = '{}'", people.other.user_id)).await?;

    let said = people.run(&["list"]).await?.ok();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].starts_with(&people.other.user_id.to_string()), "{said}");
    assert!(lines[0].contains(OTHER_DID) && lines[0].ends_with("deleted"), "{said}");
    assert!(lines[1].contains("somebody@example.com") && lines[1].ends_with("admin"), "{said}");

    let said = people.run(&["list", "--limit", "1"]).await?.ok();
    assert!(said.lines().count() == 2 && said.ends_with("and more: --limit shows them\n"), "{said}");
    let admins = json(&people.run(&["list", "--admins", "--json"]).await?.ok())?;
    assert_eq!(admins.as_array().map(Vec::len), Some(1));
    assert_eq!(admins[0]["id"], people.user.user_id.to_string());
    assert_eq!((&admins[0]["is_admin"], &admins[0]["name"]), (&true.into(), &"somebody@example.com".into()));
    assert_eq!(admins[0]["is_unverified"], false);
    people.sql("DELETE FROM users; DELETE FROM admins").await?;
    assert_eq!(people.run(&["list"]).await?.ok(), "no accounts\n");
    Ok(())
}

#[tokio::test]
async fn an_account_is_named_by_its_id_its_e_mail_its_did_or_its_nodes_key() -> Result<()> {
    let people = People::start().await?;
    let id = people.user.user_id.to_string();
    for name in [id.as_str(), "somebody@example.com", "Somebody@EXAMPLE.com", DID, &people.pubkey] {
        let said = people.run(&["show", name]).await?.ok();
        assert!(said.starts_with(&format!("account {id}\n")), "{name}: {said}");
        assert!(said.contains("somebody@example.com") && said.contains(DID) && said.contains(&people.pubkey));
        assert!(!said.contains(OTHER_DID), "{said}");
    }
    let shown = json(&people.run(&["show", DID, "--json"]).await?.ok())?;
    assert_eq!((&shown["id"], &shown["isAdmin"]), (&id.into(), &false.into()));
    Ok(())
}

#[tokio::test]
async fn who_is_not_there_and_what_is_no_name_is_said_so_by_every_command() -> Result<()> {
    let people = People::start().await?;
    people.sql("UPDATE identities SET retired_at = now() WHERE kind = 'did'").await?;
    let nobody = Uuid::nil().to_string();
    for command in ["show", "sessions", "revoke", "grant-admin"] {
        for name in [nobody.as_str(), "nobody@example.com", DID, "did:mnemonic:ffffffffffffffff"] {
            let said = people.run(&[command, name]).await?.refused();
            assert!(said.contains(&format!("there is no account {name}")), "{said}");
        }
        for name in ["", "node12", "' OR 1=1", "%", "did:mnemonic:x"] {
            let said = people.run(&[command, name]).await?.refused();
            assert!(
                said.contains("an account is named by its id, its e-mail, its DID or its node's key"),
                "{said}"
            );
        }
    }
    assert_eq!(people.world.db.count("SELECT count(*) FROM audit_logs").await?, 0);
    assert_eq!(people.standing().await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn sessions_are_listed_with_how_they_stand() -> Result<()> {
    let people = People::start().await?;
    people.world.advance(Duration::SECOND);
    let second = people.world.sign_in_again(&people.user, &people.pubkey).await?;
    people.world.advance(Duration::SECOND);
    let third = people.world.sign_in_again(&people.user, &people.pubkey).await?;
    people
        .sql(&format!(
            "UPDATE sessions SET idle_expires_at = now() - interval '1 day' WHERE id = '{}';
             UPDATE sessions SET user_agent = E'evil\\x1b[2J' WHERE id = '{}'",
            second.session_id, third.session_id
        ))
        .await?;
    people.run(&["revoke", DID, "--session", &people.user.session_id.to_string()]).await?.ok();

    let said = people.run(&["sessions", DID]).await?.ok();
    let lines: Vec<&str> = said.lines().collect();
    for (line, (session, stands)) in lines.iter().zip([
        (third.session_id, "active"),
        (second.session_id, "expired"),
        (people.user.session_id, "ended: by_operator"),
    ]) {
        assert!(line.starts_with(&session.to_string()) && line.contains(stands), "{said}");
    }
    assert!(lines.len() == 3 && !said.contains('\u{1b}'), "{said}");
    let listed = json(&people.run(&["sessions", DID, "--json", "--limit", "2"]).await?.ok())?;
    assert_eq!(listed.as_array().map(Vec::len), Some(2));
    people.sql("DELETE FROM sessions").await?;
    assert_eq!(people.run(&["sessions", DID]).await?.ok(), "no sessions\n");
    Ok(())
}

#[tokio::test]
async fn all_sessions_or_one_are_ended_and_it_is_audited() -> Result<()> {
    let people = People::start().await?;
    let second = people.world.sign_in_again(&people.user, &people.pubkey).await?;
    let id = people.user.user_id;

    let one = people.run(&["revoke", DID, "--session", &second.session_id.to_string()]).await?.ok();
    assert_eq!(one, format!("1 session of {id} ended\n"));
    assert_eq!(people.standing().await?, [people.user.session_id, people.other.session_id]);
    let all = people.run(&["revoke", "somebody@example.com"]).await?.ok();
    assert_eq!(all, format!("1 session of {id} ended\n"));
    assert_eq!(people.standing().await?, [people.other.session_id], "another's session was ended");
    assert_eq!(people.audited("session.ended", "revoke", id).await?, 1);
    assert_eq!(people.audited("session.all_ended", "revoke", id).await?, 1);

    assert_eq!(people.run(&["revoke", DID]).await?.ok(), format!("0 sessions of {id} ended\n"));
    for session in [second.session_id, people.other.session_id, Uuid::nil()] {
        let said = people.run(&["revoke", DID, "--session", &session.to_string()]).await?.refused();
        assert!(
            said.contains(&format!("the account has no session {session} that could be ended")),
            "{said}"
        );
    }
    assert_eq!(people.standing().await?, [people.other.session_id]);
    assert_eq!(
        people.world.db.count("SELECT count(*) FROM audit_logs").await?,
        2,
        "what changed nothing is not audited"
    );
    people.tool.run(&["audit", "verify"]).await?.ok();
    Ok(())
}

#[tokio::test]
async fn an_administrator_is_made_and_made_one_no_more_and_it_is_audited() -> Result<()> {
    let people = People::start().await?;
    let id = people.user.user_id;
    let admins = "SELECT count(*) FROM admins";
    for (arguments, said, there) in [
        (&["grant-admin", DID][..], "is an administrator now", 1),
        (&["grant-admin", DID], "was an administrator already", 1),
        (&["grant-admin", DID, "--take-away"], "is no administrator now", 0),
        (&["grant-admin", DID, "--take-away"], "was no administrator already", 0),
    ] {
        assert_eq!(people.run(arguments).await?.ok(), format!("{id} {said}\n"));
        assert_eq!(people.world.db.count(admins).await?, there);
    }
    assert_eq!(people.audited("admin.granted", "grant-admin", id).await?, 1);
    assert_eq!(people.audited("admin.taken_away", "grant-admin", id).await?, 1);
    assert_eq!(people.world.db.count("SELECT count(*) FROM audit_logs").await?, 2);
    people.tool.run(&["audit", "verify"]).await?.ok();

    people.sql("UPDATE users SET deleted_at = now()").await?;
    let said = people.run(&["grant-admin", DID]).await?.refused();
    assert!(said.contains(&format!("the account {id} is deleted")), "{said}");
    assert_eq!(people.world.db.count(admins).await?, 0);
    Ok(())
}

/// Anybody may register an address that is not theirs before its owner does.
#[tokio::test]
async fn an_e_mail_whose_mailbox_never_answered_makes_nobody_an_administrator() -> Result<()> {
    let people = People::start().await?;
    let (id, email) = (people.user.user_id, "somebody@example.com");
    people.sql("UPDATE identities SET verified_at = NULL").await?;
    for arguments in [&["grant-admin", email][..], &["grant-admin", "SOMEBODY@example.com", "--take-away"]] {
        let said = people.run(arguments).await?.refused();
        assert!(said.contains("is unverified") && said.contains(&id.to_string()), "{said}");
    }
    assert_eq!(people.world.db.count("SELECT count(*) FROM admins").await?, 0);
    assert_eq!(people.world.db.count("SELECT count(*) FROM audit_logs").await?, 0);

    // To look, and to sign out, it will do; it is said all the same, and JSON stays JSON.
    for arguments in
        [&["show", email][..], &["show", email, "--json"], &["sessions", email, "--json"], &["revoke", email]]
    {
        let ran = people.run(arguments).await?;
        assert!(ran.done().contains(&id.to_string()), "{ran:?}");
        assert_eq!(ran.stderr, format!("{email} is unverified: anybody may have registered it\n"));
    }
    people.run(&["show", DID]).await?.ok();
    let listed = people.run(&["list"]).await?.ok();
    assert!(listed.contains("somebody@example.com") && listed.ends_with("  unverified\n"), "{listed}");
    people.run(&["grant-admin", &id.to_string()]).await?.ok();
    let listed = people.run(&["list", "--admins"]).await?.ok();
    assert!(listed.ends_with("unverified, admin\n"), "{listed}");
    Ok(())
}

#[tokio::test]
async fn arguments_that_make_no_sense_and_a_database_that_is_away_are_said_so() -> Result<()> {
    let people = People::start().await?;
    for arguments in [
        &["users"][..],
        &["users", "show"],
        &["users", "revoke", DID, "--session", "x"],
        &["users", "list", "--limit", "0"],
        &["users", "grant-admin", DID, "--give"],
    ] {
        people.tool.wants_others(arguments).await?;
    }
    let commands = [
        &["users", "list"][..],
        &["users", "show", DID],
        &["users", "sessions", DID],
        &["users", "revoke", DID],
        &["users", "grant-admin", DID],
    ];
    people.tool.misses_the_database(&people.world.sandbox, commands).await
}
