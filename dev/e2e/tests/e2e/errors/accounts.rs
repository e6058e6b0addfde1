//! The codes of accounts: of e-mail, of identities, and of what was deleted or changed meanwhile.

use e2e::client::Request;
use e2e::owner::unique;
use e2e::person::refresh;
use e2e::{Owner, Person, Result, Session, Stack, tokens};
use http::Method;
use sandbox::privy::PrivyPerson;
use serde_json::{Value, json};

use super::Seen;

pub async fn errors(stack: &Stack, seen: &mut Seen) -> Result<()> {
    of_passwords_and_tokens(stack, seen).await?;
    of_identities(stack, seen).await?;
    of_administrators(stack, seen).await?;
    of_what_is_not_as_it_was(stack, seen).await
}

async fn of_passwords_and_tokens(stack: &Stack, seen: &mut Seen) -> Result<()> {
    let (person, client) = (Person::new(stack), &stack.client);
    let session = Session::from(person.register()).await?;
    let somebody_else = Person { password: "another password".to_owned(), ..person.clone() };
    seen.note(&somebody_else.log_in().send().await?, "INVALID_CREDENTIALS")?;
    seen.note(&somebody_else.register().send().await?, "EMAIL_TAKEN")?;
    let privy = stack.sandbox.privy().tokens(&PrivyPerson::new("mallory"));
    let forged = json!({ "privyToken": privy.access.replace('.', "x.") });
    for refused in [forged, json!({ "privyToken": privy.identity })] {
        seen.note(&client.post("/v1/auth/login", &refused).send().await?, "IDENTITY_REJECTED")?;
    }
    seen.note(&refresh(client, &session.access).send().await?, "REFRESH_REJECTED")?;
    let link = json!({ "privyToken": privy.access });
    let unverified = client.post("/v1/auth/identities", &link).bearer(&session.access);
    seen.note(&unverified.send().await?, "EMAIL_NOT_VERIFIED")?;
    let token = stack.mailed_token(&person.email).await?;
    person.verify(&token).success().await?;
    seen.note(&person.verify(&token).send().await?, "TOKEN_GONE")
}

async fn of_identities(stack: &Stack, seen: &mut Seen) -> Result<()> {
    let (person, other) = (Person::new(stack), Owner::new(stack)?);
    let session = person.sign_up(stack).await?;
    let unlink = |kind: &str, token: &str| {
        stack.client.request(&Method::DELETE, &format!("/v1/auth/identities/{kind}")).bearer(token)
    };
    seen.note(&unlink("email", &session.access).send().await?, "LAST_IDENTITY")?;
    seen.note(&unlink("discord", &session.access).send().await?, "NOT_FOUND")?;
    seen.note(&unlink("node", &other.sign_in().await?.access).send().await?, "CONFLICT")?;
    let alice = PrivyPerson::new("alice-of-errors");
    stack.by_privy(&alice).success().await?;
    let link = json!({ "privyToken": stack.sandbox.privy().tokens(&alice).access });
    let taken = stack.client.post("/v1/auth/identities", &link).bearer(&session.access);
    seen.note(&taken.send().await?, "IDENTITY_TAKEN")
}

async fn of_administrators(stack: &Stack, seen: &mut Seen) -> Result<()> {
    let (admin, person) = (stack.administrator().await?, Person::new(stack).sign_up(stack).await?);
    seen.note(&stack.client.get("/v1/users").bearer(&person.access).send().await?, "FORBIDDEN")?;
    let mint = stack.client.post("/v1/private-beta/referral", &json!({})).bearer(&admin.access);
    let key = mint.success().await?["referralKey"].clone();
    let come = |email: String| {
        stack.client.post("/v1/private-beta/verify", &json!({ "referralKey": key, "email": email }))
    };
    come(format!("{}@example.com", unique("first"))).success().await?;
    seen.note(&come(format!("{}@example.com", unique("second"))).send().await?, "REFERRAL_GONE")
}

async fn of_what_is_not_as_it_was(stack: &Stack, seen: &mut Seen) -> Result<()> {
    let person = Person::new(stack);
    let session = person.sign_up(stack).await?;
    let path = format!("/v1/users/{}", tokens::user_of(&session.access)?);
    let put = |version: &Value| -> Request {
        let body = json!({ "displayName": "Hal", "version": version }).to_string();
        let request = stack.client.request(&Method::PUT, &path).header("content-type", "application/json");
        request.bearer(&session.access).body(body)
    };
    let version = stack.client.get(&path).bearer(&session.access).ok().await?["version"].clone();
    put(&version).ok().await?;
    seen.note(&put(&version).send().await?, "VERSION_CONFLICT")?;
    stack.client.request(&Method::DELETE, &path).bearer(&session.access).success().await?;
    seen.note(&person.log_in().send().await?, "ACCOUNT_DELETED")?;
    seen.note(&refresh(&stack.client, &session.refresh).send().await?, "ACCOUNT_DELETED")
}
