//! Good signatures on what is no access token here, or no longer one.

use anyhow::Context;
use serde_json::{Value, json};
use shared::db::Db;
use shared::db::roles::Role;
use shared::firebase::{ServiceAccount, ServiceAccountDocument};
use shared::fresh::{self, SigningAlgorithm};
use shared::random::Random;
use shared::token::{StepUp, TokenIssuer};
use testing::{Result, SignedIn};

use super::super::{DID, KEY_1};
use super::Forms;
use super::kit::{Kit, changed, jws};

pub async fn add(kit: &Kit<'_>, forms: &mut Forms) -> Result<()> {
    of_other_kinds(kit, forms).await?;
    of_ended_sessions(kit, forms).await?;
    by_other_keys(kit, forms).await
}

async fn of_other_kinds(kit: &Kit<'_>, forms: &mut Forms) -> Result<()> {
    let world = kit.world;
    let (db, issuer) = world
        .wire("verify_lightning_signature", |config| (Db::wire(config), TokenIssuer::wire(config)))
        .await?;
    let approval = StepUp {
        user_id: kit.user.user_id,
        challenge_id: Random::system().id(world.now()),
        did: DID,
        amount_msat: 1,
        destination: "lnbc1",
    };
    let step_up = issuer.step_up(db.connection().await?.client(), &approval, world.now()).await?;
    forms.token("a step-up token", step_up.expose());

    let account = json!({
        "client_email": "firebase@project.iam.gserviceaccount.com",
        "private_key": fresh::signing_key(SigningAlgorithm::Rs256)
            .map_err(|_| anyhow::anyhow!("no key was made"))?["private_key"],
    });
    let document: ServiceAccountDocument = serde_json::from_value(account)?;
    let account = ServiceAccount::try_from(document).map_err(anyhow::Error::msg)?;
    let custom = account.custom_token(&kit.user.user_id.to_string(), world.now())?;
    forms.token("a Firebase custom token", custom.expose());

    // What other services, or a careless second audience of ours, would issue under the very same key.
    let id_token = json!({ "iss": testing::world::ISSUER_URL, "aud": "satchel", "sub": kit.user.user_id,
        "iat": kit.now, "exp": kit.now + 1800 });
    forms.token("an ID token under our key", &kit.signed(&kit.header(), &id_token)?);
    let step_up = changed(&kit.claims(), "aud", Some(json!("satchel/step-up")));
    forms.token("a step-up token said to be for access", &kit.signed(&kit.header(), &step_up)?);
    forms.token("a challenge's id", &approval.challenge_id.to_string());
    forms.token("a session's id", &kit.user.session_id.to_string());
    Ok(())
}

/// Tokens as good as the day they were issued, of sessions that are not.
async fn of_ended_sessions(kit: &Kit<'_>, forms: &mut Forms) -> Result<()> {
    let world = kit.world;
    let admin = world.db.admin().await?;
    for (name, change) in [
        ("revoked", "revoked_at = $$NOW$$"),
        ("revoked in a moment", "revoked_at = $$NOW$$::timestamptz + interval '1 minute'"),
        ("idle for too long", "idle_expires_at = $$NOW$$"),
        ("too old", "absolute_expires_at = $$NOW$$"),
    ] {
        let session: SignedIn = world.sign_in_again(&kit.user, KEY_1).await?;
        let change = change.replace("NOW", &world.now().to_string());
        let sql = format!("UPDATE sessions SET {change} WHERE id = '{}'", session.session_id);
        admin.batch_execute(&sql).await?;
        forms.token(format!("a session {name}"), &session.access_token);
    }
    let session = world.sign_in_again(&kit.user, KEY_1).await?;
    admin.batch_execute(&format!("DELETE FROM sessions WHERE id = '{}'", session.session_id)).await?;
    forms.token("a session that is gone", &session.access_token);
    Ok(())
}

async fn by_other_keys(kit: &Kit<'_>, forms: &mut Forms) -> Result<()> {
    let admin = kit.world.db.admin().await?;
    for (kid, publish, retire) in [
        ("retired", "2020-01-01", "'2020-01-02'"),
        ("retired-now", "2020-01-01", "'NOW'"),
        ("of-tomorrow", "9999-01-01", "NULL"),
    ] {
        let retire = retire.replace("NOW", &kit.world.now().to_string());
        let jwk = changed(&kit.attacker_public.jwk, "kid", Some(json!(kid)));
        let sql = format!(
            "INSERT INTO signing_keys (kid, jwk, publish_at, sign_at, retire_at)
             VALUES ('{kid}', '{jwk}', '{publish}', '{publish}', {retire})"
        );
        admin.batch_execute(&sql).await?;
        let header = changed(&kit.header(), "kid", Some(json!(kid)));
        forms.token(format!("a key {kid}"), &kit.forged(&header)?);
    }
    // A deployment of the same name with a key of its own.
    let row = kit.world.db.connect(Role::Api).await?;
    let rows = row.query_typed("SELECT jwk FROM signing_keys WHERE kid = $1", &[(&kit.kid, TEXT)]).await?;
    let published: Value = rows.first().context("the real key is published")?.get(0);
    assert_eq!(published["n"], kit.public.jwk["n"], "what the forger took for the real key is it");
    let claims = changed(&kit.claims(), "jti", Some(json!(kit.other.session_id))).to_string();
    let token = jws(&kit.header().to_string(), &claims, &kit.attacker, jsonwebtoken::Algorithm::RS256)?;
    forms.token("another deployment's token", &token);
    Ok(())
}

const TEXT: shared::db::Type = shared::db::Type::TEXT;
