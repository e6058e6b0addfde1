//! A sign-in and a rebind of the same account, crossing.

use shared::account::{self, NodeLogin, Standing};
use shared::challenge::{self, ChallengeError, ChallengeType, NewChallenge, Purpose};
use shared::db::roles::Role;
use shared::lightning::Did;
use shared::random::Random;
use shared::sign_in::{self, CarryOutError, Decision};
use testing::{Result, TestDb};

use crate::{NOW, number, pubkey};

#[tokio::test]
async fn a_key_retired_after_it_was_compared_signs_nobody_in() -> Result<()> {
    // given an account, and a challenge its node has signed and that was compared with its key
    let db = TestDb::create().await?;
    let mut client = db.connect(Role::Auth).await?;
    let random = Random::system();
    let (user_id, key) = (random.id(NOW), pubkey(&random));
    let did: Did = "did:mnemonic:9f86d081884c7d65".parse()?;
    account::create(&client, user_id, &did, key, NOW).await.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let challenge = NewChallenge {
        id: random.id(NOW),
        did: &did,
        purpose: Purpose::SignIn(ChallengeType::MnemonicLogin),
        nonce: random.bytes(),
        issued_at: NOW,
        lifetime: std::time::Duration::from_mins(5),
    };
    challenge::create(&client, &challenge, &challenge.text("example.com")).await?;
    let found = challenge::find_open(&client, challenge.id, &did, NOW).await;
    let found = found.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let decided = sign_in::decide(&found, &did, key);
    assert_eq!(decided, Ok(Decision::SignIn(user_id)));

    // when the account moves to another key before the session is opened
    account::retire_node(&client, user_id, key, NOW).await?;
    let tx = client.transaction().await?;
    let carried =
        sign_in::carry_out(&tx, &found, (Decision::SignIn(user_id), &did, key), random.id(NOW), NOW).await;

    // then the old key opens nothing, and the challenge is not spent by the attempt
    assert!(matches!(carried, Err(CarryOutError::Challenge(ChallengeError::Gone))), "{carried:?}");
    drop(tx);
    let pending = "SELECT count(*) FROM challenges WHERE status = 'pending'";
    assert_eq!(number(&db.admin().await?, pending).await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_rebind_waits_for_a_sign_in_that_came_first() -> Result<()> {
    // given a sign-in in the middle of its transaction
    let db = TestDb::create().await?;
    let (mut first, second) = (db.connect(Role::Auth).await?, db.connect(Role::Auth).await?);
    let random = Random::system();
    let (user_id, key) = (random.id(NOW), pubkey(&random));
    let created = account::create(&first, user_id, &Did::Lightning(key), key, NOW).await;
    created.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let tx = first.transaction().await?;
    assert_eq!(
        account::note_login(&tx, user_id, key, NOW).await?,
        NodeLogin::Noted(Standing { admin: false })
    );

    // when a rebind retires the key
    let mut rebind = Box::pin(account::retire_node(&second, user_id, key, NOW));
    let early = tokio::time::timeout(std::time::Duration::from_millis(300), &mut rebind).await;

    // then it waits, and so ends the session that this sign-in opens
    assert!(early.is_err());
    tx.commit().await?;
    rebind.await?;
    assert_eq!(account::note_login(&second, user_id, key, NOW).await?, NodeLogin::NotItsNode);
    Ok(())
}
