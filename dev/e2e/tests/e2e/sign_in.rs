//! The product's main job, from a node that signs to a token that others can check.

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use e2e::client::text;
use e2e::owner::Challenge;
use e2e::{Client, Owner, Result, Stack, Tokens, form};
use sandbox::lnd::{Node, NodeOptions};
use serde_json::{Value, json};

#[tokio::test]
async fn a_node_signs_in_registers_and_moves_to_another_key() -> Result<()> {
    let stack = Stack::start().await?;
    let owner = Owner::new(&stack)?;

    let challenge = owner.challenge("default_registration").await?;
    let signed_in = owner.answer(&challenge, &sign_at(&owner.node, &challenge.title).await?).ok().await?;
    assert_eq!(signed_in["data"]["did"], owner.did.as_str());
    assert_eq!(signed_in["data"]["lightning_pubkey"], owner.node.pubkey.as_str());
    assert_eq!(signed_in["data"]["customToken"], signed_in["data"]["accessToken"]);
    let elsewhere = Tokens::read(&signed_in)?;
    let tokens = owner.sign_in().await?;

    let registered = owner.register(&tokens).ok().await?;
    assert_eq!(registered["success"], true);
    assert_eq!(registered["data"]["node_id"], owner.node.name.as_str());
    let info = owner.node_info(&tokens).ok().await?;
    assert_eq!(info["lightning_pubkey"], owner.node.pubkey.as_str());
    assert_eq!(info["caddy_endpoint"], owner.registration()["caddy_endpoint"]);
    assert_eq!((&info["has_macaroon"], &info["status"]), (&json!(true), &json!("active")));
    assert!(info.get("admin_macaroon").is_none(), "a macaroon never comes back: {info}");

    let second = stack.sandbox.nodes().create("second", NodeOptions::default())?;
    let challenge = Challenge::read(&owner.ask_to_rebind(&tokens, &second).ok().await?)?;
    assert!(challenge.title.contains(&second.pubkey) && challenge.title.contains(&owner.node.pubkey));
    let (old, new) =
        (sign_at(&owner.node, &challenge.title).await?, sign_at(&second, &challenge.title).await?);
    let moved = owner.rebind(&tokens, &challenge, &old, &new).ok().await?;
    assert_eq!(
        (&moved["data"]["lightning_pubkey"], &moved["data"]["sessions_ended"]),
        (&json!(second.pubkey), &json!(1))
    );

    let info = owner.node_info(&tokens).ok().await?;
    assert_eq!((&info["caddy_endpoint"], &info["has_macaroon"]), (&Value::Null, &json!(false)));
    assert_eq!(form::error_code(&owner.node_info(&elsewhere).send().await?)?, "UNAUTHENTICATED");
    assert_eq!(form::error_code(&owner.sign_in_for("mnemonic_login").await?)?, "SIGNATURE_REJECTED");
    let thief = Owner { did: e2e::owner::new_did(), ..owner.clone() };
    let reserved = thief.sign_in_for("default_registration").await?;
    assert_eq!(form::error_code(&reserved)?, "NODE_ALREADY_BOUND");
    let moved = Owner { node: second, ..owner };
    assert_eq!(moved.sign_in_for("mnemonic_login").await?.status, 200);

    stack.stop().await
}

#[tokio::test]
async fn a_node_that_cannot_be_reached_signs_in_and_is_never_called() -> Result<()> {
    let stack = Stack::start().await?;
    let owner = Owner::new(&stack)?;
    owner.node.set_blackholed(true);

    let tokens = owner.sign_in().await?;
    owner.register(&tokens).ok().await?;
    owner.node_info(&tokens).ok().await?;
    assert_eq!(owner.sign_in_for("qrcode_login").await?.status, 200);

    assert_eq!(owner.node.total_calls(), 0);
    assert_eq!(stack.sandbox.calls_to(sandbox::Service::Lnd, "/"), 0);
    stack.stop().await
}

#[tokio::test]
async fn an_access_token_can_be_checked_with_nothing_but_the_published_keys() -> Result<()> {
    let stack = Stack::start().await?;
    let owner = Owner::new(&stack)?;
    let token = owner.sign_in().await?.access;

    let discovery = stack.client.get("/.well-known/openid-configuration").ok().await?;
    let path = text(&discovery, "/jwks_uri")?.strip_prefix("https://localhost").unwrap_or_default();
    let keys = stack.client.get(path).ok().await?;

    let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("{token}") };
    let decode = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes());
    let json = |part| Ok::<Value, anyhow::Error>(serde_json::from_slice(&decode(part)?)?);
    let (header_json, claims_json) = (json(header)?, json(claims)?);
    assert_eq!((&header_json["alg"], &header_json["typ"]), (&json!("RS256"), &json!("at+jwt")));
    let published = keys["keys"].as_array().into_iter().flatten();
    let key = published.clone().find(|key| key["kid"] == header_json["kid"]).expect("the key is published");
    assert!(published.clone().all(|key| key.get("d").is_none() && key.get("p").is_none()), "{keys}");

    let parts = RsaPublicKeyComponents { n: decode(text(key, "/n")?)?, e: decode(text(key, "/e")?)? };
    let signed = format!("{header}.{claims}");
    parts.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &decode(signature)?).expect("it verifies");
    let other = signed.replace('A', "B");
    assert!(parts.verify(&RSA_PKCS1_2048_8192_SHA256, other.as_bytes(), &decode(signature)?).is_err());
    assert_eq!(claims_json["iss"], discovery["issuer"]);
    assert_eq!(claims_json["aud"], "satchel");
    let lifetime = claims_json["exp"].as_i64().zip(claims_json["iat"].as_i64()).map(|(exp, iat)| exp - iat);
    assert_eq!(lifetime, Some(1800));
    stack.stop().await
}

/// As the user's app asks LND over its REST interface.
async fn sign_at(node: &Node, message: &str) -> Result<String> {
    let lnd = Client::new(node.base_url.clone());
    let signing = lnd.post("/v1/signmessage", &json!({"msg": BASE64.encode(message.as_bytes())}));
    let signed = signing.header("grpc-metadata-macaroon", &node.admin_macaroon).ok().await?;
    Ok(text(&signed, "/signature")?.to_owned())
}
